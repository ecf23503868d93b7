"""Intervals in which no event could reach us, and what was healed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from common.database.pool import Pool
from common.database.statements import statements

#: How long before an outage a call may have begun whose insights were to come in it: they take half an hour after the
#: call (facts 1.5), and calls last an hour or so. Others are asked for by their schedule.
BEGAN_BEFORE: Final = timedelta(hours=2)


async def read_outages(pool: Pool, account_id: str, now: datetime) -> Sequence[asyncpg.Record]:
    """All outages, the last ones first; `ended_at` is None while one goes on.

    Of recordings that began in it, or up to two hours before, `recordings_due` are still to be asked for, and
    `recordings_healed` have insights by now that were asked for. The latter needs the journal: what `JOURNAL_KEEP` has
    dropped does not count any more.
    """
    return await pool.fetch(statements("subscription_outages")["list"], account_id, BEGAN_BEFORE, now)
