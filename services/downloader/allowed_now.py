"""At the start: recordings that were refused for a host are due at once when `RC_MEDIA_HOSTS` names it now."""

from collections.abc import Sequence

import structlog

from common.clock import Clock
from common.database.pool import DatabaseAway, Pool
from common.database.statements import statements
from common.ringcentral.hosts import refusals_of


async def make_due_what_is_allowed_now(pool: Pool, clock: Clock, account_id: str, media_hosts: Sequence[str]) -> None:
    """Whoever extends the setting starts the downloader again, and should not have to wait after that.

    May run twice, also at the same time. Rows whose host is still foreign stay as they are: a redirect to it costs a
    heavy request each time. When the database is away just now, the rows fall due by themselves.
    """
    try:
        rows = await pool.fetch(statements("recordings")["make_due"], account_id, refusals_of(media_hosts), clock.now())
    except DatabaseAway as error:
        structlog.get_logger().warning("database_away", error=str(error))
        return
    if rows:
        structlog.get_logger().info("recordings_made_due", recordings=len(rows))
