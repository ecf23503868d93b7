"""The ledger: how many calls and recordings there are, and in which cell, by day and extension.

Every recording is in exactly one cell for its audio and in one for its insights; migration 0005 says in which.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

import asyncpg

from common.database.pool import Pool
from common.database.statements import statements

#: The cells of audio; they add up to the recordings.
AUDIO: Final = ("stored", "verified", "pending", "quarantined", "unavailable", "failed", "erased", "unknown")
#: The cells of insights; they add up to the recordings too.
INSIGHTS: Final = ("present", "partial", "unavailable", "absent", "erased")
#: The numbers of a line, in the order in which they are shown.
NUMBERS: Final = (
    "calls",
    "recordings",
    *(f"audio_{cell}" for cell in AUDIO),
    "insights_expected",
    *(f"insights_{cell}" for cell in INSIGHTS),
)
#: What is unavailable, by the kind of reason.
REASONS: Final = ("audio_unavailable_by", "insights_unavailable_by")
#: Days that are shown when nobody says which: a week, today included.
USUAL_DAYS: Final = 7

By = Literal["day", "extension", "both"]


@dataclass(frozen=True, slots=True)
class Line:
    """A part of the ledger. `day` and `extension_id` are None where unknown, or where the line is of all."""

    day: date | None
    extension_id: str | None
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NUMBERS, 0))
    reasons: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in REASONS})

    def add(self, row: asyncpg.Record) -> None:
        """Count in what a row of the view `ledger` says."""
        for name in NUMBERS:
            self.numbers[name] += row[name]
        for name in REASONS:
            for reason, number in row[name].items():
                self.reasons[name][reason] = self.reasons[name].get(reason, 0) + number


async def set_time_zone(pool: Pool, account_id: str, time_zone: str) -> bool:
    """Let the ledger's days be those of a time zone; False when Postgres knows none of that name. May run twice."""
    return await pool.fetchval(statements("ledger")["set_time_zone"], account_id, time_zone) is not None


async def read(
    pool: Pool, account_id: str, first: date | None, last: date | None, now: datetime
) -> list[asyncpg.Record]:
    """Rows of the view `ledger` of these days, both included, by default the last week; and what has no day."""
    return await _fetch(pool, "read", account_id, first, last, now, USUAL_DAYS)


async def sums(pool: Pool, account_id: str, now: datetime) -> list[asyncpg.Record]:
    """How many calls and recordings of the last week are in which cell."""
    return await _fetch(pool, "sums", account_id, now, USUAL_DAYS)


async def _fetch(pool: Pool, name: str, *values: object) -> list[asyncpg.Record]:
    async with pool.transaction() as connection:
        await connection.execute(statements("ledger")["without_jit"])
        return await connection.fetch(statements("ledger")[name], *values)


def lines(rows: Iterable[asyncpg.Record], by: By) -> list[Line]:
    """The rows added up by day, by extension or by both, in that order; what has no day or extension comes last."""
    found: dict[tuple[Any, ...], Line] = {}
    for row in rows:
        day = None if by == "extension" else row["day"]
        extension_id = None if by == "day" else row["extension_id"]
        found.setdefault((day, extension_id), Line(day, extension_id)).add(row)
    return sorted(found.values(), key=_place)


def total(rows: Iterable[asyncpg.Record]) -> Line:
    """All rows added up."""
    line = Line(None, None)
    for row in rows:
        line.add(row)
    return line


def _place(line: Line) -> tuple[date, bool, int, str]:
    extension = line.extension_id or ""
    return line.day or date.max, line.extension_id is None, len(extension), extension
