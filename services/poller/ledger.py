"""The ledger as metrics, told by the leader; and the time zone of its days."""

import asyncio
from typing import Final

import structlog

from common.clock import Clock
from common.database.ledger import set_time_zone, sums
from common.database.pool import DatabaseAway, Pool
from common.pause import pause
from common.process import CannotStart
from common.telemetry.metrics import LEDGER_CALLS, LEDGER_RECORDINGS

#: Seconds between two looks: a week of 13,000 recordings a day is counted in less than a second, by one index.
TELL_EVERY: Final = 300.0
#: Seconds between two looks whether the database is there.
_LOOK_AGAIN: Final = 1.0


async def choose_time_zone(pool: Pool, account_id: str, time_zone: str, stop: asyncio.Event) -> None:
    """Write the setting where the view finds it, once the database lets us, unless stopped before.

    Raises `CannotStart` for a name that Postgres does not know.
    """
    while not stop.is_set():
        try:
            known = await set_time_zone(pool, account_id, time_zone)
        except DatabaseAway as error:
            structlog.get_logger().warning("database_away", error=str(error))
            await pause(_LOOK_AGAIN, stop)
        else:
            if not known:
                raise CannotStart(
                    "LEDGER_TIME_ZONE is not valid: give one of Postgres' pg_timezone_names, as Europe/Berlin."
                )
            return


async def tell_ledger(pool: Pool, account_id: str, clock: Clock) -> None:
    """Set the metrics to what the ledger says of the last week."""
    rows = await sums(pool, account_id, clock.now())
    silence_ledger()
    for row in rows:
        if row["kind"] == "calls":
            LEDGER_CALLS.set(row["number"])
        else:
            LEDGER_RECORDINGS.labels(row["kind"], row["cell"], row["reason"]).set(row["number"])


def silence_ledger() -> None:
    """Say nothing any more: somebody else leads, or a cell is empty."""
    LEDGER_CALLS.set(0)
    LEDGER_RECORDINGS.clear()
