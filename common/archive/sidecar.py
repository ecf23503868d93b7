"""The small `.json` beside an audio file: all that its row says, so that the row can be made again without Postgres.

Personal data, as the audio is: it holds names, numbers and what was spoken.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from common.archive.journal_lines import NotAnArchive
from common.merge import Known

#: The version of the format. Readers take this one only: a breaking change is the next number.
VERSION: Final = 1
#: The columns that merging has made, each with its versions.
MERGED: Final = ("call_log_facts", "insights_facts", "insights", "insights_versions")
#: The columns that say which file it is, and its proof.
AUDIO: Final = ("audio_object", "audio_bytes", "audio_content_type", "audio_sha256", "audio_stored_at")
#: The column that came later: older files lack it.
DURATION: Final = "audio_duration_ms"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What it says. `call` is the call-log record as last seen, when there was one."""

    account_id: str
    domain: str
    source_record_id: str
    first_seen_at: datetime
    known: Known
    audio: Mapping[str, Any]
    call: Mapping[str, Any] | None


def write_sidecar(row: Mapping[str, Any]) -> bytes:
    """From a row of `recordings` in the state `stored`, with its call's `entry`."""
    said = {
        "ringvault_sidecar": VERSION,
        "account_id": row["account_id"],
        "domain": row["domain"],
        "source_record_id": row["source_record_id"],
        "first_seen_at": row["first_seen_at"].isoformat(),
        **{name: row[name] for name in MERGED},
        **{name: row[name] for name in (*AUDIO, DURATION)},
        "audio_stored_at": row["audio_stored_at"].isoformat(),
        "call": row["entry"],
    }
    return json.dumps(said, sort_keys=True, indent=1).encode() + b"\n"


def read_sidecar(raw: bytes) -> Sidecar:
    """Read it back; raises `NotAnArchive`."""
    try:
        said = json.loads(raw)
        if said["ringvault_sidecar"] != VERSION:
            raise NotAnArchive("it is of a version that this ringvault does not know")
        return Sidecar(
            account_id=said["account_id"],
            domain=said["domain"],
            source_record_id=said["source_record_id"],
            first_seen_at=datetime.fromisoformat(said["first_seen_at"]),
            known=Known(domain=said["domain"], **{name: said[name] for name in MERGED}),
            audio={name: said[name] for name in AUDIO}
            | {"audio_stored_at": datetime.fromisoformat(said["audio_stored_at"]), DURATION: said.get(DURATION)},
            call=said["call"],
        )
    except (ValueError, KeyError, TypeError):
        raise NotAnArchive("it is no file that stands beside a recording") from None
