"""The check: what the simulator knows, held against Postgres and storage, recording by recording."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from common.database.pool import Pool
from common.storage.interface import Storage, StorageError

_ROWS: Final = """
SELECT source_record_id, audio_state, audio_object, audio_bytes, audio_sha256, audio_reason, insights_state, insights,
    call_log_id, telephony_session_id
FROM recordings WHERE account_id = $1 AND domain = 'pbx'
"""
_CALLS: Final = "SELECT count(*) FROM calls WHERE account_id = $1"


@dataclass(slots=True)
class Verdict:
    """What was found. `faults` are sentences, one per recording, call or event that is not as it should be."""

    recordings: int = 0
    stored: int = 0
    merged: int = 0
    calls: int = 0
    events: int = 0
    refused: int = 0
    size: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Recordings that are not stored, or whose insights are not merged."""
        return 2 * self.recordings - self.stored - self.merged


async def check(truth: Mapping[str, Any], counts: Mapping[str, Any], pool: Pool, storage: Storage) -> Verdict:
    """Hold everything against the truth; each object is read back and hashed."""
    verdict = Verdict(recordings=len(truth["recordings"]), events=len(truth["events"]), refused=counts["refused"])
    rows = {row["source_record_id"]: row for row in await pool.fetch(_ROWS, truth["account_id"])}
    for recording in truth["recordings"]:
        row = rows.pop(recording["id"], None)
        faults = [*await _audio_faults(recording, row, storage)]
        verdict.stored += not faults
        insight_faults = [*_insight_faults(recording, row)]
        verdict.merged += not insight_faults
        verdict.size += recording["bytes"]
        verdict.faults += [f"recording {recording['id']}: {fault}" for fault in (*faults, *insight_faults)]
    verdict.faults += [f"recording {unknown}: RingCentral knows none of that id" for unknown in rows]
    verdict.calls = await pool.fetchval(_CALLS, truth["account_id"])
    if verdict.calls != truth["calls"]:
        verdict.faults.append(f"{verdict.calls} calls are known, RingCentral has {truth['calls']}")
    undelivered = sum(not event["delivered"] for event in truth["events"])
    if undelivered:
        verdict.faults.append(f"{undelivered} events were sent and not answered with 200")
    if verdict.refused:
        verdict.faults.append(f"{verdict.refused} requests were refused by the rate limit")
    return verdict


async def _audio_faults(recording: Mapping[str, Any], row: asyncpg.Record | None, storage: Storage) -> list[str]:
    if row is None:
        return ["no row"]
    if row["audio_state"] != "stored":
        return [f"audio is {row['audio_state']}: {row['audio_reason'] or 'no attempt yet'}"]
    if (row["audio_bytes"], row["audio_sha256"]) != (recording["bytes"], recording["sha256"]):
        return ["the row tells another length or sha256 than RingCentral's"]
    if row["call_log_id"] not in recording["call_log_ids"]:
        return ["the row belongs to another call"]
    return await _object_faults(row["audio_object"], recording["sha256"], storage)


async def _object_faults(name: str, sha256: str, storage: Storage) -> list[str]:
    digest = hashlib.sha256()
    try:
        async for chunk in storage.read(name):
            digest.update(chunk)
    except FileNotFoundError:
        return ["the object is not there"]
    except StorageError as error:
        return [str(error)]
    return [] if digest.hexdigest() == sha256 else ["the object holds other bytes than RingCentral's"]


def _insight_faults(recording: Mapping[str, Any], row: asyncpg.Record | None) -> list[str]:
    expected, found = set(recording["insight_kinds"]), set(row["insights"] if row else {})
    if expected == found:
        return []
    return [f"insights {', '.join(sorted(expected - found)) or 'none'} missing, {len(found - expected)} too many"]
