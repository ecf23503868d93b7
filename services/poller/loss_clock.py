"""The loss clock of the leader: read now and then, told as metrics and in the log, and the order of announcing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from common.clock import Clock
from common.database.loss_clock import read_loss_clock
from common.database.pool import Pool
from common.loss_clock import Reading, Retention, Span
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral
from common.telemetry.metrics import (
    AUDIO_WAITING,
    CATCH_UP_SECONDS,
    FIRST_LOSS,
    LOSSES_EXPECTED,
    RETENTION_CAP,
    RETENTION_FILLING,
    RETENTION_KEPT,
)

#: Between two readings, which take up to a second each: the order that follows from one is right for hours.
READ_EVERY: Final = timedelta(minutes=5)
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR


@dataclass(slots=True)
class LossClock:
    """The clock with its last reading."""

    client: RingCentral
    pool: Pool
    clock: Clock
    retentions: Sequence[Retention]
    reading: Reading | None = field(default=None)

    async def spans(self) -> list[Span]:
        """What is lost and what is urgent by now; reads the clock anew when that was long ago."""
        now = self.clock.now()
        if self.reading is None or not timedelta() <= now - self.reading.now < READ_EVERY:
            rate = await self.client.budget.rate(Group.HEAVY) or DEFAULT_RATE
            self.reading = await read_loss_clock(self.pool, self.client.account_id, self.retentions, now, rate)
            tell(self.reading)
        return [span.after(now - self.reading.now) for span in self.reading.spans]


def tell(reading: Reading) -> None:
    """Set the metrics, and log what the clock shows: a warning when a loss is near, or cannot be helped."""
    FIRST_LOSS.clear()
    for retention_type, moment in reading.first_loss.items():
        FIRST_LOSS.labels(retention_type).set(moment.timestamp())
    for kept in reading.kept:
        RETENTION_KEPT.labels(kept.retention.retention_type).set(kept.count)
        RETENTION_CAP.labels(kept.retention.retention_type).set(kept.retention.cap)
        RETENTION_FILLING.labels(kept.retention.retention_type).set(kept.rate * _DAY)
    AUDIO_WAITING.labels("good").set(reading.waiting)
    AUDIO_WAITING.labels("too_late").set(reading.too_late)
    LOSSES_EXPECTED.set(reading.expected_losses)
    CATCH_UP_SECONDS.set(reading.caught_up_in.total_seconds() if reading.caught_up_in is not None else math.inf)
    log = structlog.get_logger()
    (log.warning if reading.is_near else log.info)(
        "loss_is_near" if reading.is_near else "loss_clock_read",
        hours_to_first_loss={
            name: round((moment - reading.now).total_seconds() / _HOUR, 1)
            for name, moment in reading.first_loss.items()
        },
        losses_expected=reading.expected_losses,
        waiting=reading.waiting,
        too_late=reading.too_late,
        catches_up=reading.caught_up_in is not None,
    )


def silence() -> None:
    """Say nothing any more: somebody else leads."""
    for metric in (FIRST_LOSS, RETENTION_KEPT, RETENTION_CAP, RETENTION_FILLING, AUDIO_WAITING):
        metric.clear()
    LOSSES_EXPECTED.set(0)
    CATCH_UP_SECONDS.set(0)
