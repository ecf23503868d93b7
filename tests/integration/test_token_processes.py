"""The token, shared by real processes: each is a Python of its own, with a pool and a client of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.test_ringcentral_client_support import Office, simulated

ROOT = Path(__file__).parents[2]

#: Waits for a line, then asks for the account over and over and tells each outcome, until its input ends.
ASKING = """
import asyncio, os, sys
from common.clock import SystemClock
from common.database.pool import open_pool
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import RingCentralError
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from tests.integration.test_ringcentral_client_support import ACCOUNT

class Settings(DatabaseSettings, RingCentralSettings): ...

async def main():
    settings = read_settings(Settings, os.environ)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with (
        open_pool(settings.database_url.get_secret_value(), "asking", size=2) as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        print("ready", flush=True)
        await lines.readline()
        while not lines.at_eof():
            try:
                await client.json(ACCOUNT)
                print("answered", flush=True)
            except RingCentralError as error:
                print(type(error).__name__, flush=True)
            await asyncio.sleep(0.1)

asyncio.run(main())
"""


class Asking:
    """One process that asks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._input, self._output = process, process.stdin, process.stdout

    def begin(self) -> None:
        self._input.write(b"begin\n")

    async def tells(self, word: str) -> None:
        """Wait until it tells this next, whatever it tells before; it must not end."""
        while (line := await self._output.readline()).decode().strip() != word:
            assert line, f"the process ended before it told: {word}"

    async def end(self) -> int:
        """Its exit status when it is told to end: 0, or else a request ended in a crash."""
        self._input.close()
        await self._output.read()
        return await self.process.wait()


@asynccontextmanager
async def starting(office: Office) -> AsyncIterator["Starting"]:
    start = Starting(office)
    try:
        yield start
    finally:
        for process in start.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Starting:
    """Starts processes, whose end is seen to."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.processes: list[asyncio.subprocess.Process] = []

    async def __call__(self, count: int, **settings: str) -> list[Asking]:
        """So many processes, ready to begin at once."""
        environment = os.environ | self._office.environment(DATABASE_URL=self._office.database_url, **settings)
        pipe, found = asyncio.subprocess.PIPE, []
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", ASKING, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe
            )
            self.processes.append(process)
            found.append(Asking(process))
        await asyncio.gather(*(asking.tells("ready") for asking in found))
        return found


async def all_tell(processes: list[Asking], word: str) -> None:
    await asyncio.gather(*(process.tells(word) for process in processes))


async def test_twenty_processes_that_start_at_once_mint_one_token(database_url: str) -> None:
    async with simulated(database_url) as office, starting(office) as start:
        processes = await start(20)
        for process in processes:
            process.begin()
        await all_tell(processes, "answered")
        ended = await asyncio.gather(*(process.end() for process in processes))

        assert ended == [0] * 20
        counts = await office.counts()
        assert (counts["requests"]["oauth.token"], counts["tokens_minted"], counts["refused"]) == (1, 1, 0)


async def test_rotating_the_secret_during_a_rolling_restart_mints_three_tokens_at_most(database_url: str) -> None:
    # A token lasts six minutes: longer than all of the processes take to start.
    async with simulated(database_url, speed=10.0) as office, starting(office) as start:
        await office.order("limits", {"light": 10_000, "auth": 100})
        old, new = await start(4), list[Asking]()
        for process in old:
            process.begin()
        await all_tell(old, "answered")
        before = (await office.counts())["tokens_minted"]

        await office.order("client-secrets", {"add": "the new secret"})
        for replaced in range(1, 5):
            new += await start(1, RC_CLIENT_SECRET="the new secret")
            new[-1].begin()
            await all_tell(new, "answered")
            assert await old.pop().end() == 0
            if replaced == 2:  # the worst moment: the old secret is gone, and so is every token
                await office.order("client-secrets", {"remove": office.simulator.options.client_secret})
                await office.order("tokens/drop", {})
                await all_tell(old, "CredentialRefused")
        assert [await process.end() for process in new] == [0] * 4

        counts = await office.counts()
        assert counts["tokens_minted"] - before <= 3
        assert counts["refused"] == 0
