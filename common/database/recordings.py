"""Rows of `recordings`: merging what is said of them, and the states of their audio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from common.database.pool import Connection
from common.database.statements import statements
from common.merge import NO_AUDIO_IN_DOMAIN, Known, Saying, combine, merge
from common.ringcentral.budget import Priority

Key = tuple[str, str]
"""Domain and source record id: which recording of an account."""

_MERGED: Final = ("call_log_facts", "insights_facts", "insights", "insights_versions")


@dataclass(frozen=True, slots=True)
class Said:
    """A saying, or all that was known elsewhere, and the recording it is about."""

    key: Key
    saying: Saying | Known


async def merge_sayings(
    connection: Connection,
    account_id: str,
    said: Sequence[Said],
    at: datetime,
    *,
    priority: Priority = Priority.LIVE,
) -> int:
    """Merge what was said into the rows, inside the caller's transaction, and return how many rows changed.

    `priority` is that of fetching the audio, where this is the first to say that there is some.

    May run twice, and in any order: rows that learn nothing new are not touched.
    """
    keys = sorted({one.key for one in said})
    if not keys:
        return 0
    sql = statements("recordings")
    domains, ids = [domain for domain, _ in keys], [source_record_id for _, source_record_id in keys]
    await connection.execute(sql["ensure"], account_id, domains, ids, at)
    rows = await connection.fetch(sql["lock"], account_id, domains, ids)
    changed = [row for row in (_merged(row, said) for row in rows) if row is not None]
    if changed:
        await connection.execute(sql["write"], account_id, changed, at, int(priority))
    return len(changed)


async def bring_forward(connection: Connection, account_id: str, keys: Sequence[Key], at: datetime) -> None:
    """Let the downloads of these that were to be tried again later be due at once. May run twice."""
    if keys:
        sql = statements("recordings")["bring_forward"]
        await connection.execute(sql, account_id, [domain for domain, _ in keys], [key for _, key in keys], at)


def _merged(row: asyncpg.Record, said: Sequence[Said]) -> Mapping[str, Any] | None:
    """The columns that a row gets, or None when it stays as it is."""
    key = (row["domain"], row["source_record_id"])
    before = Known(domain=row["domain"], **{name: row[name] for name in _MERGED})
    known = before
    for one in said:
        if one.key == key:
            known = combine(known, one.saying) if isinstance(one.saying, Known) else merge(known, one.saying)
    if known == before != Known(domain=row["domain"]):
        return None
    state = known.audio_state()
    return {
        "domain": row["domain"],
        "source_record_id": row["source_record_id"],
        **known.facts(),
        **{name: getattr(known, name) for name in _MERGED},
        "insights_state": known.insights_state(),
        "audio_state": state,
        "audio_reason": NO_AUDIO_IN_DOMAIN if state == "unavailable" else None,
    }
