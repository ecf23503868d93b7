"""A process that is stopped between its grant and its request."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.ringcentral.errors import (
    Missing,
)
from tests.integration.test_ringcentral_client_support import NO_RECORDING, simulated

#: A process that stops itself when it has its grant, right before the request is written.
FROZEN = """
import asyncio, os, signal, sys
from common.clock import SystemClock
from common.database.pool import open_pool
from common.ringcentral import budget
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import Missing
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from tests.integration.test_ringcentral_client_support import NO_RECORDING

class Settings(DatabaseSettings, RingCentralSettings): ...

budget.GRANT_USABLE = 1.0

async def main():
    settings = read_settings(Settings, os.environ)
    async with (
        open_pool(settings.database_url.get_secret_value(), "frozen") as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        take = client.budget.take
        async def take_and_freeze(owners, group, *args, **kwargs):
            grant = await take(owners, group, *args, **kwargs)
            if group == "heavy":
                client.budget.take = take
                os.kill(os.getpid(), signal.SIGSTOP)
            return grant
        client.budget.take = take_and_freeze
        try:
            await client.json(NO_RECORDING)
        except Missing:
            print("answered")

asyncio.run(main())
"""


async def test_a_process_that_was_frozen_between_grant_and_request_causes_no_refusal(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        with pytest.raises(Missing):
            await client.json(NO_RECORDING)
        environment = os.environ | office.environment(DATABASE_URL=database_url)
        root = Path(__file__).parents[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FROZEN, cwd=root, env=environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            await _stopped(process.pid)
            frozen = time.monotonic()
            while time.monotonic() - frozen < 2.5:  # more than two windows, and longer than a grant may be used here
                with pytest.raises(Missing):
                    await client.json(NO_RECORDING)
            process.send_signal(signal.SIGCONT)
            answered = asyncio.create_task(process.communicate())
            while not answered.done():
                with pytest.raises(Missing):
                    await client.json(NO_RECORDING)
            output, _ = await answered
            assert output.endswith(b"answered\n")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

        counts = await office.counts()
        assert counts["refused"] == 0
        bucket = next(group for group in counts["groups"] if group["group"] == "heavy")
        assert bucket["most_in_a_window"] <= 10


async def _stopped(pid: int) -> None:
    def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    await _until(lambda: state() == "T")


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - a fact of another process
        await asyncio.sleep(0.02)
