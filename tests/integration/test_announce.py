"""Announcing due rows as jobs: a short window, each row once, whether somebody takes them or not."""

from datetime import UTC, datetime, timedelta
from typing import cast

from common.amqp.publisher import Publisher
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.budget import Budget
from common.ringcentral.client import RingCentral
from services.poller.announce import announce
from services.poller.leadership import Leadership
from tests.clocks import StandingClock

#: What one user has before any header has told of a budget.
WINDOW = 100


class Account:
    """What announcing needs to know of RingCentral: whose calls, and how large the budget is."""

    account_id = "42"

    def __init__(self, pool: Pool) -> None:
        self.budget = Budget(pool, "app")


async def fall_due(pool: Pool, count: int, at: datetime) -> None:
    entry = Saying("call_log", "1", {"audio_content_uri": "https://media.example/audio"})
    async with pool.transaction() as connection:
        await merge_sayings(connection, "42", [Said(("pbx", f"r{number}"), entry) for number in range(count)], at)


async def test_no_more_than_a_window_is_announced_however_long_nobody_downloads(
    pool: Pool, publisher: Publisher, leadership: Leadership
) -> None:
    clock = StandingClock(datetime.now(UTC))
    client = cast("RingCentral", Account(pool))
    await fall_due(pool, 3 * WINDOW, clock.time)

    first = await announce(client, pool, publisher, clock, leadership)
    again = await announce(client, pool, publisher, clock, leadership)
    clock.time += timedelta(hours=24)
    next_day = await announce(client, pool, publisher, clock, leadership)

    assert (first, again, next_day) == (WINDOW, 0, 0)
    assert await publisher.waiting(DownloadRecording.QUEUE) == WINDOW


async def test_a_queue_that_was_lost_is_filled_again_when_its_announcements_are_old(
    pool: Pool, publisher: Publisher, leadership: Leadership, taken: object
) -> None:
    clock = StandingClock(datetime.now(UTC))
    client = cast("RingCentral", Account(pool))
    await fall_due(pool, 5, clock.time)
    await announce(client, pool, publisher, clock, leadership)
    assert callable(taken)
    lost = await taken(DownloadRecording.QUEUE)

    at_once = await announce(client, pool, publisher, clock, leadership)
    clock.time += timedelta(hours=1)
    later = await announce(client, pool, publisher, clock, leadership)

    assert (len(lost), at_once, later) == (5, 0, 5)
