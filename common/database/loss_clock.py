"""The loss clock, read from the rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from common.database.pool import Pool
from common.database.statements import statements
from common.loss_clock import AUDIO_SHARE, Kept, Reading, Retention, Waiting, read_clock
from common.settings import RetentionSettings

#: Ranks that are read of a type: so finely is known when the cap takes what. Of 100,000 recordings that is every
#: hundredth, some minutes of an account that fills its cap in a week.
RANKS: Final = 1000
_DAY: Final = 24 * 3600.0


def retentions_of(settings: RetentionSettings) -> list[Retention]:
    """What RingCentral keeps of each type."""
    return [
        Retention("automatic", timedelta(days=settings.retention_automatic_days), settings.retention_automatic_cap),
        Retention("on_demand", timedelta(days=settings.retention_on_demand_days), settings.retention_on_demand_cap),
    ]


async def read_loss_clock(
    pool: Pool, account_id: str, retentions: Sequence[Retention], now: datetime, heavy_rate: float
) -> Reading:
    """What the clock shows when so many heavy requests a second are allowed. Reads indexes alone."""
    sql = statements("loss_clock")
    lately = {row["retention_type"]: row for row in await pool.fetch(sql["lately"], account_id, now)}
    kept = []
    for retention in retentions:
        key = (account_id, retention.retention_type, now - retention.lifetime, now)
        ranks = await pool.fetch(sql["ranks"], *key, retention.cap, max(1, retention.cap // RANKS))
        row = lately.get(retention.retention_type)
        # The greater of both, so that neither a weekend nor a rush makes the clock go slow.
        rate = max(row["in_a_day"] / _DAY, row["in_a_week"] / (7 * _DAY)) if row else 0.0
        kept.append(Kept(retention, now, [(rank["newer"], rank["started_at"]) for rank in ranks], rate))
    waiting = [Waiting(*row) for row in await pool.fetch(sql["waiting"], account_id)]
    return read_clock(kept, waiting, now, heavy_rate * AUDIO_SHARE)
