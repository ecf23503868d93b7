"""How the tests see what is true: rows in Postgres, messages in RabbitMQ, objects in storage."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from common.storage.interface import Storage
from common.storage.open import open_storage
from demo.pipeline import Pipeline, wait_for
from private_servers.process import Process

#: The simulated company's account.
ACCOUNT = "700100200"
#: Seconds for something that happens within moments; only a failure waits so long.
SOON = 90.0
#: Seconds between two looks.
LOOK_EVERY = 0.05
#: When things happened, which no order of arrival can make the same.
BOOKKEEPING = {"first_seen_at", "updated_at", "audio_stored_at", "insights_due_at"}

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T]], *, what: str, within: float = SOON) -> T:
    """The first answer that is true; raises `TimeoutError` that says what did not happen."""
    deadline = time.monotonic() + within
    while not (answer := await ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        await asyncio.sleep(LOOK_EVERY)
    return answer


async def until_told(pipeline: Pipeline, name: str, event: str, *, times: int = 1, within: float = SOON) -> None:
    """Wait until a process has said something in its log, so many times."""

    async def told() -> bool:
        return len(pipeline.told(name, event)) >= times

    await until(told, what=f"{name} saying {event} {times} times", within=within)


class Rows:
    """The tables, as a person would query them."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def ask(self, query: str, *values: object) -> Any:
        """The first column of the first row."""
        return await self._connection.fetchval(query, *values)

    async def run(self, script: str) -> None:
        """Several statements, whose results are of no interest."""
        await self._connection.execute(script)

    async def all(self, query: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._connection.fetch(query, *values)]

    async def recording(self, source_record_id: str) -> dict[str, Any]:
        """The one row of a recording, or an empty one when there is none."""
        found = await self.all("SELECT * FROM recordings WHERE source_record_id = $1", source_record_id)
        assert len(found) <= 1
        return found[0] if found else {}

    async def until_recording(
        self, source_record_id: str, *, within: float = SOON, **columns: object
    ) -> dict[str, Any]:
        """The row of a recording, once its columns are such."""

        async def as_wanted() -> dict[str, Any]:
            row = await self.recording(source_record_id)
            return row if row and columns.items() <= row.items() else {}

        return await until(as_wanted, what=f"a recording with {columns}", within=within)

    async def events(self, source_record_id: str | None = None) -> list[dict[str, Any]]:
        """The journal, or the part of it that is about one recording."""
        return await self.all(
            "SELECT * FROM insight_events WHERE source_record_id = $1 OR $1 IS NULL ORDER BY received_at",
            source_record_id,
        )


@asynccontextmanager
async def open_rows(pipeline: Pipeline) -> AsyncIterator[Rows]:
    """The tables as the services see them, through a pooler as well."""
    connection = await asyncpg.connect(pipeline.environment["DATABASE_URL"], statement_cache_size=0)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        yield Rows(connection)
    finally:
        await connection.close()


def storage_of(pipeline: Pipeline) -> AbstractAsyncContextManager[Storage]:
    """The storage that the services write to."""
    settings = pipeline.environment
    return open_storage(
        settings["STORAGE_URL"],
        endpoint_url=settings.get("AWS_ENDPOINT_URL_S3"),
        region=settings.get("AWS_REGION"),
        access_key=settings.get("AWS_ACCESS_KEY_ID"),
        secret_key=settings.get("AWS_SECRET_ACCESS_KEY"),
    )


async def sha256_of(storage: Storage, name: str) -> str:
    digest = hashlib.sha256()
    async for chunk in storage.read(name):
        digest.update(chunk)
    return digest.hexdigest()


def truth_of(pipeline: Pipeline, recording_id: str) -> Mapping[str, Any]:
    """What RingCentral knows of a recording."""
    recordings = pipeline.ask_simulator("/simulator/truth")["recordings"]
    found: Mapping[str, Any] = next(one for one in recordings if one["id"] == recording_id)
    return found


def exit_code(process: Process) -> int:
    """Of a process that was told to end, which it does within its time."""
    wait_for(lambda: process.exit_code is not None, within=SOON, what="the end of a process")
    assert process.exit_code is not None
    return process.exit_code
