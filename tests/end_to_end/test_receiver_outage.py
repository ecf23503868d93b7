"""What the receiver has answered with 200 is never lost: not while RabbitMQ is stopped, not when it is killed then."""

import asyncio

import httpx

from demo.pipeline import Pipeline
from private_servers.rabbitmq import RabbitMQ
from tests.end_to_end.facts import Rows, until
from tests.end_to_end.sender import Answered, send

#: Events that RingCentral sends during the outage.
EVENTS = 200
#: Requests under way at once: a busy account's burst.
AT_ONCE = 25
#: Seconds in which everybody is answered: the 3 that RingCentral waits (facts 2.1), and as many for a machine that
#: holds up this process or the receiver.
IN_TIME = 6.0


async def test_200_events_posted_while_rabbitmq_is_stopped_are_answered_200_in_time_and_all_become_rows(
    pipeline: Pipeline, rows: Rows, rabbitmq: RabbitMQ
) -> None:
    pipeline.start_all("webhook", "insights")
    rabbitmq.shut_down()
    try:
        answers = await _send_all(pipeline, asyncio.Event())
    finally:
        rabbitmq.start()

    assert {answer.status for answer in answers} == {200}
    assert max(answer.seconds for answer in answers) < IN_TIME
    await _until_rows(rows, {answer.recording_id for answer in answers})


async def test_a_receiver_killed_while_rabbitmq_is_stopped_loses_none_of_the_events_it_answered(
    pipeline: Pipeline, rows: Rows, rabbitmq: RabbitMQ
) -> None:
    pipeline.start_all("webhook", "insights")
    rabbitmq.shut_down()
    try:
        halfway = asyncio.Event()
        sending = asyncio.create_task(_send_all(pipeline, halfway))
        await halfway.wait()
        pipeline.kill("webhook")
        answers = await sending
        pipeline.start("webhook")
    finally:
        rabbitmq.start()

    answered = {answer.recording_id for answer in answers if answer.status == 200}
    assert EVENTS / 2 <= len(answered) < EVENTS  # it was killed in the middle.
    assert {answer.status for answer in answers} == {200, None}
    await _until_rows(rows, answered)


async def _send_all(pipeline: Pipeline, halfway: asyncio.Event) -> list[Answered]:
    """Send all events; `halfway` is set when half of them were answered."""
    turns, answers = asyncio.Semaphore(AT_ONCE), list[Answered]()
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=AT_ONCE)) as http:

        async def one(number: int) -> None:
            async with turns:
                answers.append(await send(http, pipeline.webhook_url, f"{5000 + number}"))
            if len(answers) >= EVENTS / 2:
                halfway.set()

        await asyncio.gather(*(one(number) for number in range(EVENTS)))
    return answers


async def _until_rows(rows: Rows, recordings: set[str]) -> None:
    async def all_there() -> bool:
        found = await rows.all("SELECT source_record_id FROM recordings WHERE insights_state = 'present'")
        return recordings <= {row["source_record_id"] for row in found}

    await until(all_there, what="a row for every event that was answered")
