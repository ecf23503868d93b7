"""Where an event becomes durable, and how it leaves the spool again."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from common.amqp.publisher import NotConfirmed
from common.messages import InsightsReceived, Wire
from services.webhook.answers import Outcome, Refused
from services.webhook.drain import drain, drained, look_after
from services.webhook.keep import ANSWER_WITHIN, SPOOL_WITHIN, Circuit, Keeper, Publishes
from services.webhook.spool import Spool, SpoolUnusable

#: Seconds that RingCentral waits for an answer (facts 2.1).
GIVES_UP_AFTER = 3.0


def event(number: int = 1) -> InsightsReceived:
    return InsightsReceived(f'{{"n": {number}}}'.encode(), "4711", datetime(2026, 3, 1, tzinfo=UTC))


def bodies(taken: list[tuple[str, Wire]]) -> list[bytes]:
    return [wire.body for _, wire in taken]


@pytest.fixture
def keeper(broker: Any, spool: Spool) -> Keeper:
    return Keeper(broker, spool, Circuit())


async def test_a_broker_that_confirms_gets_the_event_and_the_spool_stays_empty(
    keeper: Keeper, broker: Any, spool: Spool
) -> None:
    assert await keeper.keep(event(), elapsed=0) is Outcome.PUBLISHED

    assert bodies(broker.taken) == [event().raw]
    assert spool.events == 0


async def test_while_the_broker_is_away_events_go_to_the_spool_without_a_try(
    keeper: Keeper, broker: Any, spool: Spool
) -> None:
    broker.goes_away()

    assert await keeper.keep(event(), elapsed=0) is Outcome.SPOOLED

    assert broker.tries == 0
    assert spool.events == 1


async def test_after_one_publish_without_a_confirm_the_next_events_do_not_wait_for_theirs(
    keeper: Keeper, broker: Any, spool: Spool
) -> None:
    broker.frozen = True
    assert await keeper.keep(event(1), elapsed=0) is Outcome.SPOOLED

    assert await keeper.keep(event(2), elapsed=0) is Outcome.SPOOLED

    assert broker.tries == 1
    assert spool.events == 2


async def test_a_request_that_took_its_time_already_goes_to_the_spool_at_once(
    keeper: Keeper, broker: Any, spool: Spool
) -> None:
    assert await keeper.keep(event(), elapsed=1.9) is Outcome.SPOOLED

    assert broker.tries == 0
    assert spool.events == 1


async def test_a_request_with_a_moment_left_is_spooled_and_says_nothing_about_the_broker(
    keeper: Keeper, broker: Any
) -> None:
    # Given a broker that would not confirm in 50 ms
    broker.frozen = True

    assert await keeper.keep(event(1), elapsed=ANSWER_WITHIN - SPOOL_WITHIN - 0.05) is Outcome.SPOOLED

    assert broker.tries == 0
    assert not keeper.circuit.open
    broker.comes_back()
    assert await keeper.keep(event(2), elapsed=0) is Outcome.PUBLISHED


@pytest.mark.parametrize("elapsed", [ANSWER_WITHIN - SPOOL_WITHIN - 0.05, ANSWER_WITHIN])
async def test_a_spool_that_refuses_at_once_leaves_its_time_to_the_broker(
    broker: Any, open_one: Any, elapsed: float
) -> None:
    async with open_one(limit=3) as spool:
        assert await Keeper(broker, spool, Circuit()).keep(event(), elapsed=elapsed) is Outcome.PUBLISHED


async def test_a_full_spool_leaves_the_broker_as_the_last_resort(broker: Any, open_one: Any) -> None:
    async with open_one(limit=3) as spool:
        keeper = Keeper(broker, spool, Circuit(open=True))

        assert await keeper.keep(event(), elapsed=0) is Outcome.PUBLISHED

        assert not keeper.circuit.open


async def test_with_neither_broker_nor_spool_the_event_is_refused_in_time(broker: Any, open_one: Any) -> None:
    broker.goes_away()
    async with open_one(limit=3) as spool:
        keeper = Keeper(broker, spool, Circuit())
        started = time.monotonic()

        with pytest.raises(Refused) as caught:
            await keeper.keep(event(), elapsed=0)

        assert caught.value.outcome is Outcome.NOT_DURABLE
        assert time.monotonic() - started < 2


class Hesitant:
    """A broker that never confirms; `waits` are the seconds that it was given for it."""

    connected = True

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def wait_connected(self) -> None: ...

    async def publish(self, _queue: str, _wire: Wire, *, timeout: float = 0.0) -> None:
        self.waits.append(timeout)
        raise NotConfirmed


class Stuck:
    """A spool whose disk does not answer, or that refuses at once; `waits` as above."""

    accepts = True

    def __init__(self, *, refuses: bool) -> None:
        self.waits: list[float] = []
        self._refuses = refuses

    async def put(self, _queue: str, _wire: Wire) -> None:
        if self._refuses:
            raise SpoolUnusable
        self.waits.append(SPOOL_WITHIN)
        await asyncio.Event().wait()


@pytest.mark.parametrize("circuit", [Circuit(), Circuit(open=True)], ids=["tried", "open"])
@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "stuck"])
@pytest.mark.parametrize("elapsed", [0.0, ANSWER_WITHIN - SPOOL_WITHIN, ANSWER_WITHIN])
async def test_all_that_an_event_may_wait_for_ends_before_ringcentral_gives_up(
    circuit: Circuit, refuses: bool, elapsed: float
) -> None:
    broker, spool = Hesitant(), Stuck(refuses=refuses)
    keeper = Keeper(cast(Publishes, broker), cast(Spool, spool), replace(circuit))

    with pytest.raises(Refused):
        await keeper.keep(event(), elapsed=elapsed)

    assert elapsed + sum(broker.waits) + sum(spool.waits) < GIVES_UP_AFTER


async def test_ready_as_long_as_one_of_both_accepts(broker: Any, open_one: Any) -> None:
    async with open_one(limit=8) as spool:
        keeper = Keeper(broker, spool, Circuit())
        broker.goes_away()
        assert keeper.accepts()

        await spool.put("q", Wire({}, b"12345678"))
        assert not keeper.accepts()

        broker.comes_back()
        assert keeper.accepts()


async def test_what_was_spooled_is_published_in_order_once_the_broker_is_back(
    keeper: Keeper, broker: Any, spool: Spool, running: Any, eventually: Any
) -> None:
    broker.goes_away()
    for number in range(250):
        await keeper.keep(event(number), elapsed=0)
    async with running(drain(spool, broker, keeper.circuit)):
        broker.comes_back()

        await eventually(lambda: not spool.events)

    assert bodies(broker.taken) == [event(number).raw for number in range(250)]
    assert {queue for queue, _ in broker.taken} == {"insights.received"}
    assert InsightsReceived.from_wire(broker.taken[0][1]) == event(0)


async def test_the_drain_proves_a_frozen_broker_alive_with_one_event_and_closes_the_circuit(
    keeper: Keeper, broker: Any, spool: Spool, running: Any, eventually: Any
) -> None:
    broker.frozen = True
    for number in range(10):
        await keeper.keep(event(number), elapsed=0)
    async with running(drain(spool, broker, keeper.circuit)):
        await eventually(lambda: broker.tries >= 3)
        assert broker.tries < 10
        assert spool.events == 10

        broker.comes_back()
        await eventually(lambda: not spool.events)

    assert not keeper.circuit.open
    assert await keeper.keep(event(99), elapsed=0) is Outcome.PUBLISHED


async def test_only_confirmed_events_leave_the_spool(
    keeper: Keeper, broker: Any, spool: Spool, running: Any, eventually: Any
) -> None:
    # Given five events, of which the broker refuses the third until it is told otherwise
    broker.goes_away()
    for number in range(5):
        await keeper.keep(event(number), elapsed=0)
    broker.comes_back()
    broker.refuses = {event(2).raw}

    async with running(drain(spool, broker, keeper.circuit)):
        await eventually(lambda: spool.events == 1 and keeper.circuit.open)

        broker.refuses.clear()
        await eventually(lambda: not spool.events)

    assert sorted(bodies(broker.taken)) == [event(number).raw for number in range(5)]


async def test_an_open_circuit_with_nothing_to_prove_it_wrong_is_closed(
    spool: Spool, running: Any, eventually: Any
) -> None:
    circuit = Circuit(open=True)

    async with running(look_after(spool, circuit)):
        await eventually(lambda: not circuit.open)


async def test_at_the_end_the_spool_is_emptied_also_by_a_broker_that_comes_back_only_then(
    keeper: Keeper, broker: Any, spool: Spool, running: Any
) -> None:
    # Given a receiver that has to stop while the broker is away
    broker.goes_away()
    for number in range(150):
        await keeper.keep(event(number), elapsed=0)
    async with running(drain(spool, broker, keeper.circuit)):
        ending = asyncio.create_task(drained(spool))
        await asyncio.wait([ending], timeout=0.1)
        assert not ending.done()

        # When the broker is there again
        broker.comes_back()
        await ending

    # Then nothing is left
    assert spool.events == 0
    assert len(broker.taken) == 150


async def test_at_the_end_a_broker_that_does_not_confirm_is_tried_again(
    keeper: Keeper, broker: Any, spool: Spool, running: Any, eventually: Any
) -> None:
    broker.frozen = True
    await keeper.keep(event(), elapsed=0)
    assert keeper.circuit.open
    async with running(drain(spool, broker, keeper.circuit)):
        ending = asyncio.create_task(drained(spool))
        await eventually(lambda: broker.tries >= 3)
        assert not ending.done()

        broker.comes_back()
        await ending

    assert bodies(broker.taken) == [event().raw]


async def test_a_confirmed_event_whose_deletion_fails_is_not_published_again(
    keeper: Keeper, broker: Any, spool: Spool, running: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.goes_away()
    await keeper.keep(event(), elapsed=0)
    broker.comes_back()
    assert spool._own is not None
    failing: list[Callable[..., Any]] = [spool._own.remove]
    failures: list[None] = []

    def remove(ids: list[int]) -> None:
        if len(failures) < 2:
            failures.append(None)
            raise SpoolUnusable("the disk is full")
        failing[0](ids)

    monkeypatch.setattr(spool._own, "remove", remove)

    async with running(drain(spool, broker, keeper.circuit)):
        await eventually(lambda: not spool.events)

    assert len(broker.taken) == 1


async def test_two_hundred_events_at_once_share_a_few_commits(
    keeper: Keeper, broker: Any, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.goes_away()
    commits: list[int] = []
    assert spool._own is not None
    append = spool._own.append

    def counted(wires: list[tuple[str, Wire]], at: float) -> None:
        commits.append(len(wires))
        append(wires, at)

    monkeypatch.setattr(spool._own, "append", counted)

    await asyncio.gather(*(keeper.keep(event(number), elapsed=0) for number in range(200)))

    assert sum(commits) == 200
    assert len(commits) <= 10
