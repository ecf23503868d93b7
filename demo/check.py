"""The check: what the simulator knows, held against Postgres and storage, recording by recording."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from common.database.pool import Pool
from common.storage.interface import Storage, StorageError

_ROWS: Final = """
SELECT domain, source_record_id, audio_state, audio_object, audio_bytes, audio_sha256, audio_reason, insights,
    call_log_id
FROM recordings WHERE account_id = $1
"""
_CALLS: Final = "SELECT count(*) FROM calls WHERE account_id = $1"

Rows = Mapping[tuple[str, str], asyncpg.Record]


@dataclass(slots=True)
class Verdict:
    """What was found. `faults` are sentences, one per recording, call or event that is not as it should be."""

    recordings: int = 0
    #: Recordings whose audio RingCentral no longer gives to anybody.
    gone: int = 0
    stored: int = 0
    merged: int = 0
    calls: int = 0
    events: int = 0
    refused: int = 0
    size: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Obtainable recordings that are not stored, and recordings whose insights are not merged."""
        return 2 * self.recordings - self.gone - self.stored - self.merged


async def check(truth: Mapping[str, Any], counts: Mapping[str, Any], pool: Pool, storage: Storage) -> Verdict:
    """Hold everything against the truth; each object is read back and hashed."""
    verdict = Verdict(events=len(truth["events"]), refused=counts["refused"])
    found = await pool.fetch(_ROWS, truth["account_id"])
    rows = {(row["domain"], row["source_record_id"]): row for row in found}
    insights = {(told["domain"], told["record_id"]): told["kinds"] for told in truth["insights"]}
    for recording in truth["recordings"]:
        await _check_recording(verdict, recording, insights.pop(("pbx", recording["id"]), {}), rows, storage)
    for (domain, record_id), kinds in insights.items():
        verdict.faults += [
            f"{domain} {record_id}: {fault}" for fault in _insight_faults(kinds, rows, domain, record_id)
        ]
    known = {recording["id"] for recording in truth["recordings"]}
    verdict.faults += [
        f"recording {name}: RingCentral knows none of that id"
        for domain, name in rows
        if domain == "pbx" and name not in known
    ]
    await _check_calls(verdict, truth, pool)
    _check_requests(verdict, truth)
    return verdict


async def _check_recording(
    verdict: Verdict, recording: Mapping[str, Any], kinds: Mapping[str, Any], rows: Rows, storage: Storage
) -> None:
    verdict.recordings += 1
    verdict.size += recording["bytes"]
    audio_faults: list[str] = []
    if recording["obtainable"]:
        audio_faults = await _audio_faults(recording, rows.get(("pbx", recording["id"])), storage)
        verdict.stored += not audio_faults
    else:
        verdict.gone += 1
    insight_faults = _insight_faults(kinds, rows, "pbx", recording["id"])
    verdict.merged += not insight_faults
    verdict.faults += [f"recording {recording['id']}: {fault}" for fault in (*audio_faults, *insight_faults)]


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


def _insight_faults(kinds: Mapping[str, Any], rows: Rows, domain: str, record_id: str) -> list[str]:
    """Every kind that was delivered is there, and none that RingCentral never had."""
    row = rows.get((domain, record_id))
    found = set(row["insights"] if row else {})
    missing = {kind for kind, fate in kinds.items() if fate["delivered"]} - found
    faults = [f"insights missing: {', '.join(sorted(missing))}"] if missing else []
    return faults + ([f"{len(found - set(kinds))} insights too many"] if found - set(kinds) else [])


async def _check_calls(verdict: Verdict, truth: Mapping[str, Any], pool: Pool) -> None:
    verdict.calls = await pool.fetchval(_CALLS, truth["account_id"])
    if not truth["visible_calls"] <= verdict.calls <= truth["calls"]:
        verdict.faults.append(f"{verdict.calls} calls are known, RingCentral shows {truth['visible_calls']}")


def _check_requests(verdict: Verdict, truth: Mapping[str, Any]) -> None:
    undelivered = sum(not event["delivered"] and not event["lost"] for event in truth["events"])
    if undelivered:
        verdict.faults.append(f"{undelivered} events were sent and not answered with 200")
    if verdict.refused:
        verdict.faults.append(f"{verdict.refused} requests were refused by the rate limit")
