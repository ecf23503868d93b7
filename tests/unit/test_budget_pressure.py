"""When a process says that the budget is the limit: once, when waiting for slots begins to take most of the time."""

import pytest
import structlog
from structlog.testing import capture_logs

from common.database.pool import DatabaseAway
from common.ringcentral.pressure import Pressure
from common.telemetry.metrics import REGISTRY

WINDOW = 60.0


class Story:
    """One process's waiting, second by second."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.usage = {"taken": 10, "slots": 10, "users": 1, "closed": False}
        self.pressure = Pressure("heavy", lambda: self.now)
        self.away = False

    async def wait(self, seconds: float) -> None:
        """Wait for a slot, looking each second as the budget does."""
        self.pressure.begin()
        for _ in range(int(seconds)):
            await self.pressure.tell(WINDOW, self._usage)
            self.now += 1
        await self.pressure.tell(WINDOW, self._usage)
        self.pressure.end()

    async def _usage(self) -> dict[str, int | bool]:
        if self.away:
            raise DatabaseAway("ConnectionRefusedError")
        return self.usage


async def told(story: Story, *waits: tuple[float, float]) -> list[dict[str, object]]:
    """What is said while work goes on: seconds of rest, then of waiting, again and again."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        for rest, wait in waits:
            story.now += rest
            await story.wait(wait)
    return [dict(line) for line in lines]


def seconds_waited() -> float:
    return REGISTRY.get_sample_value("ringvault_budget_waiting_seconds_total", {"group": "heavy"}) or 0.0


async def test_what_could_not_be_told_while_the_database_was_away_is_told_later() -> None:
    story = Story()
    story.away = True
    with pytest.raises(DatabaseAway):
        await told(story, (0, 120))
    story.away = False

    lines = await told(story, *[(0, 30)] * 10)

    assert [line["event"] for line in lines] == ["budget_is_the_limit"]


async def test_a_backlog_is_told_once_with_the_numbers() -> None:
    lines = await told(Story(), *[(0, 30)] * 40)

    assert [line["event"] for line in lines] == ["budget_is_the_limit"]
    assert {name: lines[0][name] for name in ("group", "used", "of", "users", "window_seconds", "waiting_part")} == {
        "group": "heavy",
        "used": 10,
        "of": 10,
        "users": 1,
        "window_seconds": 60.0,
        "waiting_part": 1.0,
    }


async def test_a_short_rush_now_and_then_is_not_told() -> None:
    assert await told(Story(), *[(60, 20)] * 20) == []


async def test_a_backlog_after_a_quiet_night_is_told_within_a_window() -> None:
    story = Story()
    await told(story, (5, 5))
    assert len(await told(story, (8 * 3600, 61))) == 1


async def test_a_second_backlog_is_told_again() -> None:
    story = Story()
    assert len(await told(story, (0, 90), (600, 90), (600, 90))) == 3


async def test_waiting_for_the_end_of_a_penalty_is_not_told() -> None:
    story = Story()
    story.usage["closed"] = True
    assert await told(story, (0, 90)) == []
    story.usage["closed"] = False
    assert len(await told(story, (0, 90))) == 1


@pytest.mark.parametrize("waiters", [1, 4])
async def test_the_metric_counts_time_once_however_many_wait(waiters: int) -> None:
    story, before = Story(), seconds_waited()
    for _ in range(waiters):
        story.pressure.begin()
    story.now += 30
    for _ in range(waiters):
        story.pressure.end()
    story.now += 30
    story.pressure.begin()
    story.pressure.end()

    assert seconds_waited() - before == pytest.approx(30)
