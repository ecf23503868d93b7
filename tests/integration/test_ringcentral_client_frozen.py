"""A process that is held up between its grant and its request."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.ringcentral.budget import Grant
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Missing, Throttled
from tests.integration.test_ringcentral_client_support import NO_RECORDING, simulated

#: A process that stops itself when it has its grant, right before the request is written.
FROZEN = """
import asyncio, os, signal, sys
from common.clock import SystemClock
from common.database.pool import open_pool
from common.ringcentral import budget
from common.ringcentral.client import open_ringcentral
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Missing
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from tests.integration.test_ringcentral_client_support import NO_RECORDING

class Settings(DatabaseSettings, RingCentralSettings): ...

budget.GRANT_USABLE = 1.0
TIMEOUT = 1.0  # of the request, after which and a window its slot is somebody else's

async def main():
    settings = read_settings(Settings, os.environ)
    async with (
        open_pool(settings.database_url.get_secret_value(), "frozen") as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        take, give_back = client.budget.take, client.budget.give_back
        async def take_and_freeze(owners, group, *args, **kwargs):
            if group != "heavy":
                return await take(owners, group, *args, **kwargs)
            client.budget.take = take
            grant = await take(owners, group, *args, timeout=TIMEOUT, **kwargs)
            os.kill(os.getpid(), signal.SIGSTOP)
            return grant
        async def told(grant):
            print("given back")
            await give_back(grant)
        client.budget.take, client.budget.give_back = take_and_freeze, told
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
            while time.monotonic() - frozen < 3:  # until its slot has been used by us, and its grant is too old
                with pytest.raises(Missing):
                    await client.json(NO_RECORDING)
            process.send_signal(signal.SIGCONT)
            answered = asyncio.create_task(process.communicate())
            while not answered.done():
                with pytest.raises(Missing):
                    await client.json(NO_RECORDING)
            output, _ = await answered
            assert output.splitlines()[-2:] == [b"given back", b"answered"]
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

        counts = await office.counts()
        assert counts["refused"] == 0
        bucket = next(group for group in counts["groups"] if group["group"] == "heavy")
        assert bucket["most_in_a_window"] <= 10


async def test_a_grant_that_was_held_up_sends_nothing_into_the_penalty_of_another_process(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated(database_url) as office:
        one, held_up = await office.client(), await office.client()
        for client in (one, held_up):
            with pytest.raises(Missing):
                await client.json(NO_RECORDING)
        await office.order("faults", {"endpoint": "recording.get", "kind": "penalty"})
        take, grants, go_on = held_up.budget.take, list[Grant](), asyncio.Event()

        async def take_and_wait(*args: Any, **kwargs: Any) -> Grant:
            grant = await take(*args, **kwargs)
            grants.append(grant)
            await go_on.wait()
            return grant

        monkeypatch.setattr(held_up.budget, "take", take_and_wait)
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(_missing(held_up))
            await _until(lambda: bool(grants))
            with pytest.raises(Throttled):
                await one.json(NO_RECORDING)
            await _until(lambda: grants[0].age > 0.1)
            go_on.set()
            await late

        assert len(grants) == 2  # the first went back
        assert (await office.counts())["refused"] == 0


async def _missing(client: RingCentral) -> None:
    with pytest.raises(Missing):
        await client.json(NO_RECORDING)


async def _stopped(pid: int) -> None:
    def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    await _until(lambda: state() == "T")


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - a fact of another process
        await asyncio.sleep(0.02)
