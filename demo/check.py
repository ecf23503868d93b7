"""The check: what the simulator knows, held against Postgres and storage, recording by recording."""

import hashlib
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from common.database.pool import Pool
from common.merge import digest_of
from common.storage.interface import Storage, StorageError

_ROWS: Final = """
SELECT domain, source_record_id, audio_state, audio_object, audio_bytes, audio_sha256, audio_reason, insights,
    call_log_id
FROM recordings WHERE account_id = $1 AND source_record_id <> ALL ($2::text[])
"""
_CALLS: Final = "SELECT count(*) FROM calls WHERE account_id = $1"
#: An entry whose bytes are not those of its digest is none.
_JOURNAL: Final = """
SELECT encode(digest, 'hex') FROM insight_events
WHERE account_id = $1 AND coalesce(source_record_id, '') <> ALL ($2::text[]) AND digest = sha256(raw)
"""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What Postgres holds of the account: rows by domain and id, sha256 of the journaled events, number of calls."""

    rows: Mapping[tuple[str, str], Row]
    journal: AbstractSet[str]
    calls: int


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
    #: Distinct bodies of events that were answered with 200 and are in the journal.
    journaled: int = 0
    refused: int = 0
    size: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Obtainable recordings that are not stored, and recordings whose insights are not merged."""
        return 2 * self.recordings - self.gone - self.stored - self.merged


async def check(
    truth: Mapping[str, Any], counts: Mapping[str, Any], pool: Pool, storage: Storage, *, at_least: int = 1
) -> Verdict:
    """Hold everything against the truth; each object is read back and hashed. Fewer recordings prove nothing."""
    held = await read_held(pool, truth["account_id"])
    return await compare(truth, counts, held, storage, at_least=at_least)


async def read_held(pool: Pool, account_id: str, *, without: Collection[str] = ()) -> Held:
    """Read what Postgres holds, but for rows and events of some recordings; raises `DatabaseAway`."""
    rows = await pool.fetch(_ROWS, account_id, list(without))
    journal = {digest for (digest,) in await pool.fetch(_JOURNAL, account_id, list(without))}
    by_name = {(row["domain"], row["source_record_id"]): dict(row) for row in rows}
    return Held(by_name, journal, await pool.fetchval(_CALLS, account_id))


async def compare(
    truth: Mapping[str, Any], counts: Mapping[str, Any], held: Held, storage: Storage, *, at_least: int = 1
) -> Verdict:
    """The same for what was read from Postgres already."""
    verdict = Verdict(events=len(truth["events"]), refused=counts["refused"], calls=held.calls)
    if len(truth["recordings"]) < at_least:
        verdict.faults.append(f"RingCentral has {len(truth['recordings'])} recordings, not {at_least} or more")
    insights = {(told["domain"], told["record_id"]): told["kinds"] for told in truth["insights"]}
    for recording in truth["recordings"]:
        await _check_recording(verdict, recording, insights.pop(("pbx", recording["id"]), {}), held, storage)
    for (domain, record_id), kinds in insights.items():
        verdict.faults += [
            f"{domain} {record_id}: {fault}" for fault in _insight_faults(kinds, held.rows.get((domain, record_id)))
        ]
    known = {recording["id"] for recording in truth["recordings"]}
    verdict.faults += [
        f"recording {name}: RingCentral knows none of that id"
        for domain, name in held.rows
        if domain == "pbx" and name not in known
    ]
    _check_calls(verdict, truth)
    _check_journal(verdict, truth, held.journal)
    _check_requests(verdict, truth)
    return verdict


async def _check_recording(
    verdict: Verdict, recording: Mapping[str, Any], kinds: Mapping[str, Any], held: Held, storage: Storage
) -> None:
    verdict.recordings += 1
    verdict.size += recording["bytes"]
    row = held.rows.get(("pbx", recording["id"]))
    audio_faults: list[str] = []
    if recording["obtainable"]:
        audio_faults = await _audio_faults(recording, row, storage)
        verdict.stored += not audio_faults
    else:
        verdict.gone += 1
    insight_faults = _insight_faults(kinds, row)
    verdict.merged += not insight_faults
    verdict.faults += [f"recording {recording['id']}: {fault}" for fault in (*audio_faults, *insight_faults)]


async def _audio_faults(recording: Mapping[str, Any], row: Row | None, storage: Storage) -> list[str]:
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


def _insight_faults(kinds: Mapping[str, Any], row: Row | None) -> list[str]:
    """Every kind that was delivered is there with the newest value delivered, and none that RingCentral never had."""
    found: Mapping[str, Any] = row["insights"] if row else {}
    delivered = {kind: fate["sha256"] for kind, fate in kinds.items() if fate["delivered"]}
    missing = sorted(set(delivered) - set(found))
    other = sorted(kind for kind in set(delivered) & set(found) if digest_of(found[kind]) != delivered[kind])
    too_many = len(set(found) - set(kinds))
    faults = [f"insights missing: {', '.join(missing)}"] if missing else []
    faults += [f"insights with another value than RingCentral sent last: {', '.join(other)}"] if other else []
    return faults + ([f"{too_many} insights too many"] if too_many else [])


def _check_calls(verdict: Verdict, truth: Mapping[str, Any]) -> None:
    if not truth["visible_calls"] <= verdict.calls <= truth["calls"]:
        verdict.faults.append(f"{verdict.calls} calls are known, RingCentral shows {truth['visible_calls']}")


def _check_journal(verdict: Verdict, truth: Mapping[str, Any], journal: AbstractSet[str]) -> None:
    """It may hold more: a body whose answer RingCentral never saw may have been kept."""
    answered = {body for event in truth["events"] for body in event["bodies"]}
    verdict.journaled = len(answered & journal)
    if missing := len(answered - journal):
        verdict.faults.append(f"{missing} events were answered with 200 and are not in the journal, byte for byte")


def _check_requests(verdict: Verdict, truth: Mapping[str, Any]) -> None:
    undelivered = sum(not event["delivered"] and not event["lost"] for event in truth["events"])
    if undelivered:
        verdict.faults.append(f"{undelivered} events were sent and not answered with 200")
    if verdict.refused:
        verdict.faults.append(f"{verdict.refused} requests were refused by the rate limit")
