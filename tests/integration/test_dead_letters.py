"""Dead letters on a real RabbitMQ, seen and settled with the operator's command."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from common.amqp import dead_letter_reading
from common.amqp.dead_letter_reading import BeingRead, alone, held, look_through, settle
from common.amqp.dead_letters import DeadLetter, dead_letter
from common.amqp.publisher import NotConfirmed, Publisher
from common.messages import DownloadRecording, Wire
from private_servers.rabbitmq import RabbitMQ

QUEUE = DownloadRecording.QUEUE
DEAD = f"{QUEUE}.dead"

Takes = Callable[[str], Awaitable[list[AbstractIncomingMessage]]]
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def command(rabbitmq: RabbitMQ) -> Command:
    """Run `ringvault dead-letters …`; its status, stdout and stderr."""

    async def run(*arguments: str, amqp_url: str = rabbitmq.url) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli", "dead-letters", *arguments),
            env={"PATH": os.environ["PATH"], "AMQP_URL": amqp_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


def job(number: int) -> Wire:
    return DownloadRecording("4711", "pbx", str(number)).to_wire()


def numbers_of(messages: list[AbstractIncomingMessage]) -> list[int]:
    return [int(json.loads(message.body)["source_record_id"]) for message in messages]


async def bury(publisher: Publisher, cause: str, *numbers: int) -> None:
    for number in numbers:
        await dead_letter(publisher, QUEUE, job(number), cause)


async def all_of(url: str) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    await look_through(url, QUEUE, found.append)
    return found


async def test_the_list_counts_by_queue_and_cause(publisher: Publisher, command: Command, taken: Takes) -> None:
    assert await command("list") == (0, "there are no dead letters\n", "")

    await bury(publisher, "KeyError", 1, 2, 3)
    await bury(publisher, "not decodable: it is odd", 4)
    await dead_letter(publisher, "insights.received", Wire({"dead_times": "6"}, b"{}"), "KeyError")
    status, out, _ = await command("list")

    assert status == 0
    rows = [line.split("  ") for line in out.splitlines()]
    told = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert told[0] == ["QUEUE", "CAUSE", "COUNT", "OLDEST", "NEWEST", "MOST TIMES"]
    assert [(row[0], row[1], row[2], row[5]) for row in told[1:]] == [
        ("insights.received", "KeyError", "1", "7"),
        (QUEUE, "KeyError", "3", "1"),
        (QUEUE, "not decodable: it is odd", "1", "1"),
    ]
    assert numbers_of(await taken(DEAD)) == [1, 2, 3, 4]


async def test_what_was_said_and_by_whom_is_shown_on_demand_only(publisher: Publisher, command: Command) -> None:
    event = {"uuid": "u-1", "body": {"sourceRecordId": "r-1", "speakerInfo": [{"name": "Jo", "phone": "+15550100"}]}}
    headers = {"kind": "insights.received", "account_id": "4711", "caller": "+15550101", "dead_reason": "\x1b[2J"}
    await dead_letter(publisher, "insights.received", Wire(headers, json.dumps(event).encode()), "KeyError")

    _, out, _ = await command("show", "--cause", "KeyError")
    told = json.loads(out)
    assert (told["queue"], told["cause"], told["times"]) == ("insights.received", "KeyError", 1)
    assert told["headers"] == {"kind": "insights.received", "account_id": "4711"}
    assert told["message"] == {"uuid": "u-1", "body.sourceRecordId": "r-1"}
    assert "+1555" not in out
    assert "Jo" not in out

    _, out, _ = await command("show", "--id", told["id"], "--body")
    assert json.loads(json.loads(out)["body"]) == event
    assert json.loads(out)["headers"]["caller"] == "+15550101"
    assert out.isascii()


async def test_the_replayed_are_in_their_queue_with_their_history_and_the_others_stay_in_order(
    publisher: Publisher, command: Command, taken: Takes, rabbitmq: RabbitMQ
) -> None:
    await bury(publisher, "KeyError", 1, 2)
    await bury(publisher, "TypeError", 3, 4)
    await bury(publisher, "KeyError", 5)

    assert await command("replay", "--cause", "KeyError", "--dry-run") == (0, "3 would be replayed\n", "")
    assert [letter.times for letter in await all_of(rabbitmq.url)] == [1] * 5
    assert await command("replay", "--cause", "KeyError") == (0, "3 replayed\n", "")

    replayed = await taken(QUEUE)
    assert sorted(numbers_of(replayed)) == [1, 2, 5]
    assert {str(message.headers["dead_times"]) for message in replayed} == {"1"}
    assert numbers_of(await taken(DEAD)) == [3, 4]


async def test_one_is_replayed_or_dropped_by_its_id(
    publisher: Publisher, command: Command, taken: Takes, rabbitmq: RabbitMQ
) -> None:
    await bury(publisher, "KeyError", 1, 2, 3)
    first, second, _ = await all_of(rabbitmq.url)

    assert await command("replay", "--id", first.id) == (0, "1 replayed\n", "")
    assert await command("drop", "--id", second.id, "--dry-run") == (0, "1 would be dropped\n", "")
    assert await command("drop", "--id", second.id) == (0, "1 dropped\n", "")
    status, _, err = await command("drop", "--id", second.id)

    assert status == 2
    assert err.startswith("ringvault: no dead letter is such")
    assert numbers_of(await taken(QUEUE)) == [1]
    assert numbers_of(await taken(DEAD)) == [3]


async def test_without_a_selection_nothing_is_dropped(publisher: Publisher, command: Command, taken: Takes) -> None:
    await bury(publisher, "KeyError", 1)

    for arguments in ((), ("--queue", QUEUE), ("--all", "--cause", "KeyError")):
        status, _, err = await command("drop", *arguments)
        assert status == 2
        assert err.startswith("ringvault: say which dead letters are meant")
    assert (await command("drop", "--all", "--queue", "insights.received"))[1] == "0 dropped\n"

    assert numbers_of(await taken(DEAD)) == [1]


async def test_faults_are_told_in_one_sentence(rabbitmq: RabbitMQ, command: Command) -> None:
    refused = await command("list", amqp_url=rabbitmq.url.replace("ringvault:", "nobody:"))
    away = await command("list", amqp_url="amqp://127.0.0.1:1/")
    async with alone(rabbitmq.url):
        busy = await command("list")

    for (status, out, err), told in ((refused, "refused"), (away, "cannot be reached"), (busy, "somebody else")):
        assert (status, out) == (2, "")
        assert told in err
        assert err.count("\n") == 1


async def test_an_alarm_leaves_all_dead_letters_where_they_are(
    rabbitmq: RabbitMQ, publisher: Publisher, command: Command, taken: Takes
) -> None:
    await bury(publisher, "KeyError", 1, 2)
    await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0")
    try:
        status, _, err = await command("replay", "--all")
    finally:
        await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")

    assert status == 2
    assert "did not confirm" in err
    assert "0 were replayed before" in err
    assert numbers_of(await taken(DEAD)) == [1, 2]


async def test_what_was_replayed_right_before_a_crash_is_there_twice_and_never_lost(
    publisher: Publisher, taken: Takes, rabbitmq: RabbitMQ
) -> None:
    await bury(publisher, "KeyError", 1, 2)
    published = asyncio.Event()

    async def publish_and_crash(letter: DeadLetter) -> None:
        await publisher.publish(QUEUE, letter.again())
        published.set()
        await asyncio.Event().wait()

    replaying = asyncio.create_task(settle(rabbitmq.url, QUEUE, lambda _: True, publish_and_crash))
    await published.wait()
    replaying.cancel()
    await asyncio.wait([replaying])

    assert 1 in numbers_of(await taken(QUEUE))
    assert numbers_of(await taken(DEAD)) == [1, 2]


async def test_what_is_not_confirmed_stays_and_what_is_confirmed_goes(
    publisher: Publisher, taken: Takes, rabbitmq: RabbitMQ
) -> None:
    await bury(publisher, "KeyError", 1, 2, 3)

    async def refuse_the_second(letter: DeadLetter) -> None:
        if json.loads(letter.wire.body)["source_record_id"] == "2":
            raise NotConfirmed

    with pytest.raises(NotConfirmed):
        await settle(rabbitmq.url, QUEUE, lambda _: True, refuse_the_second)

    assert numbers_of(await taken(DEAD)) == [2]


async def test_nothing_counts_as_settled_whose_acknowledgement_the_broker_has_not_taken(
    publisher: Publisher, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_reading, "ACKNOWLEDGED_WITHIN", 0.5)
    await bury(publisher, "KeyError", 1)

    async def freeze(_letter: DeadLetter) -> None:
        rabbitmq.pause()

    try:
        with pytest.raises(TimeoutError):
            await settle(rabbitmq.url, QUEUE, lambda _: True, freeze)
    finally:
        rabbitmq.resume()


async def test_dead_letters_survive_any_number_of_looks_in_order(
    publisher: Publisher, taken: Takes, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more of them than one consumer may hold
    monkeypatch.setattr(dead_letter_reading, "PREFETCH", 10)
    await bury(publisher, "KeyError", *range(35))

    for _ in range(25):  # RabbitMQ 4 drops a message at the 21st, unless told otherwise
        assert len(await all_of(rabbitmq.url)) == 35

    assert numbers_of(await taken(DEAD)) == list(range(35))


async def test_more_than_there_is_room_for_are_settled_in_turns_and_later_ones_are_left(
    publisher: Publisher, taken: Takes, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_reading, "KEPT_BYTES", 30_000)  # seven messages
    await bury(publisher, "KeyError", *range(30))
    await bury(publisher, "TypeError", *range(30, 40))
    settled: list[int] = []

    async def settle_and_fail_again(letter: DeadLetter) -> None:
        settled.append(int(json.loads(letter.wire.body)["source_record_id"]))
        await dead_letter(publisher, QUEUE, letter.again(), "KeyError")

    await settle(rabbitmq.url, QUEUE, lambda letter: letter.cause == "KeyError", settle_and_fail_again)

    assert sorted(settled) == list(range(30))
    left = await taken(DEAD)
    assert numbers_of(left)[:10] == list(range(30, 40))
    assert sorted(numbers_of(left)[10:]) == list(range(30))
    assert {str(message.headers["dead_times"]) for message in left[10:]} == {"2"}


async def test_the_broker_own_dead_letters_tell_why_too(
    publisher: Publisher, command: Command, taken: Takes, rabbitmq: RabbitMQ, eventually: Any
) -> None:
    # Given a message that ended its process at every delivery
    await publisher.publish(QUEUE, job(1))
    async with await aio_pika.connect(rabbitmq.url) as connection:
        queue = await (await connection.channel()).get_queue(QUEUE)
        while message := await queue.get(fail=False):
            await message.nack(requeue=True)

    async def arrived() -> bool:
        return len(await all_of(rabbitmq.url)) == 1

    await eventually(arrived)
    [letter] = await all_of(rabbitmq.url)
    assert (letter.cause, letter.times) == ("RabbitMQ: delivery_limit", 1)
    assert letter.last_at is not None

    assert (await command("replay", "--cause", letter.cause))[1] == "1 replayed\n"
    [replayed] = await taken(QUEUE)
    assert not {"x-death", "x-first-death-reason"} & set(replayed.headers)
    assert replayed.headers["dead_reason"] == letter.cause
    assert replayed.headers["dead_times"] == "1"


async def test_of_two_readers_one_is_told_to_wait(rabbitmq: RabbitMQ) -> None:
    async with alone(rabbitmq.url):
        with pytest.raises(BeingRead):
            async with alone(rabbitmq.url):
                pass
    async with alone(rabbitmq.url):
        pass


async def test_a_broker_that_freezes_while_it_is_read_is_given_up(
    publisher: Publisher, taken: Takes, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_reading, "DELIVERED_WITHIN", 0.5)
    monkeypatch.setattr(dead_letter_reading, "PREFETCH", 1)
    await bury(publisher, "KeyError", 1, 2)

    def freeze(_message: AbstractIncomingMessage) -> bool:
        rabbitmq.pause()
        return True

    try:
        with pytest.raises(TimeoutError):
            async with held(rabbitmq.url, QUEUE, freeze):
                pass
    finally:
        rabbitmq.resume()

    assert len(await taken(DEAD)) <= 2
