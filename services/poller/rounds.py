"""What the leader does again and again: round after round, with a pause in business time that each round names."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from common.clock import PausingClock
from common.database.pool import DatabaseAway
from common.ringcentral.errors import NoBudget, RingCentralError, pause_asked_by
from common.telemetry.health import Health, Work
from services.poller.leadership import LeadershipLost

#: Seconds before something that failed is tried again.
RETRY_AFTER: Final = 5.0
#: Seconds that this grows to, doubling, while RingCentral goes on failing or refusing ("60 s cap", facts 8). A poll
#: takes two of ten heavy requests a minute then, before all others: tried every 5 s it would leave none to audio.
LONGEST_RETRY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long rounds follow each other, and who watches them."""

    clock: PausingClock
    health: Health
    stop: asyncio.Event

    async def repeat(self, name: str, once: Callable[[Work], Awaitable[float]]) -> None:
        """Do something until the stop; each time it says how many seconds to pause.

        A round that shows no progress is a stall, a pause never is. What is away is tried again soon, RingCentral less
        and less often while it fails. Raises `LeadershipLost` alone.
        """
        retry_after = RETRY_AFTER
        with self.health.work() as work:
            while not self.stop.is_set():
                try:
                    seconds = await once(work)
                    retry_after = RETRY_AFTER
                except (DatabaseAway, NoBudget) as error:  # nothing was sent
                    structlog.get_logger().warning("clockwork_waited", what=name, reason=str(error))
                    seconds = RETRY_AFTER
                except RingCentralError as error:
                    structlog.get_logger().warning("clockwork_waited", what=name, reason=str(error))
                    seconds = max(retry_after, pause_asked_by(error))
                    retry_after = min(2 * retry_after, LONGEST_RETRY)
                except LeadershipLost:
                    raise
                except Exception:  # noqa: BLE001 - a defect of ours in one loop must not end the others, again and again
                    structlog.get_logger().exception("clockwork_failed", what=name)
                    seconds = RETRY_AFTER
                with work.waiting():
                    await self.clock.pause(seconds, self.stop)
