"""One event's way through the dead letters: it fails twice, its cause is mended, and its row is as it should be."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg

from common.amqp.consumer import Consumption, consume
from common.amqp.dead_letter_reading import look_through
from common.amqp.dead_letters import DeadLetter
from common.amqp.publisher import open_publisher
from common.clock import SystemClock
from common.database.pool import DatabaseAway, Pool
from common.messages import InsightsReceived
from common.telemetry.health import Health
from private_servers.rabbitmq import RabbitMQ
from services.insights.handle import handle
from tests.end_to_end.sender import insights_event

QUEUE = InsightsReceived.QUEUE


async def test_an_event_that_failed_ends_in_its_row_once_its_cause_is_mended_and_it_is_replayed(
    rabbitmq: RabbitMQ, pool: Pool, database_url: str, eventually: Any
) -> None:
    async def order(statement: str) -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    async def dead() -> list[DeadLetter]:
        found: list[DeadLetter] = []
        await look_through(rabbitmq.url, QUEUE, found.append)
        return found

    async def died(times: int) -> bool:
        return [letter.times for letter in await dead()] == [times]

    async def rows() -> int:
        async with pool.transaction() as connection:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM recordings WHERE source_record_id = 'r-1' AND insights ? 'Summary'"
            )
        return count

    # Given a journal that somebody has renamed
    await order("ALTER TABLE insight_events RENAME TO renamed")
    raw = insights_event("r-1", {"Summary": [{"value": "A delivery moves."}]}, account_id="4711")
    stop = asyncio.Event()
    async with open_publisher(rabbitmq.url, "test") as publisher:
        await publisher.wait_connected()
        consumption = Consumption(InsightsReceived, partial(handle, pool, SystemClock()), away=(DatabaseAway,))
        task = asyncio.create_task(consume(rabbitmq.url, "test", consumption, publisher, Health(), stop))
        await publisher.publish(QUEUE, InsightsReceived(raw, "4711", datetime.now(UTC)).to_wire())
        await eventually(partial(died, 1))
        [first] = await dead()

        await _replay(rabbitmq.url, first.cause)
        await eventually(partial(died, 2))
        [second] = await dead()

        # When the cause is mended, and the message replayed once more
        await order("ALTER TABLE renamed RENAME TO insight_events")
        await _replay(rabbitmq.url, second.cause)
        await eventually(rows)
        stop.set()
        await task

    assert first.cause == second.cause == "UndefinedTableError"
    assert first.first_at == second.first_at == first.last_at
    assert first.last_at is not None
    assert second.last_at is not None
    assert second.last_at > first.last_at
    assert second.wire.body == raw
    assert await rows() == 1
    assert await dead() == []


async def _replay(amqp_url: str, cause: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "dead-letters", "replay", "--cause", cause),
        env={"PATH": os.environ["PATH"], "AMQP_URL": amqp_url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out == b"1 replayed\n"
