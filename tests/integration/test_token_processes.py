"""The token, shared by real processes: each is a Python of its own, with a pool and a client of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_ringcentral_client_support import Office, simulated

ROOT = Path(__file__).parents[2]

#: What is rotated, before and after.
OLD, NEW = "the.old.one", "the.new.one"
#: Asks for the account with each line of its input and tells what comes of it, until the input ends.
ASKING = """
import asyncio, os, sys
import structlog
from common.clock import SystemClock
from common.database.pool import open_pool
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import RingCentralError
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from tests.integration.test_ringcentral_client_support import ACCOUNT

class Settings(DatabaseSettings, RingCentralSettings): ...

async def main():
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = read_settings(Settings, os.environ)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with (
        open_pool(settings.database_url.get_secret_value(), "asking", size=2) as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        print("ready", flush=True)
        while await lines.readline():
            try:
                await client.json(ACCOUNT)
                print("answered", flush=True)
            except RingCentralError as error:
                print(type(error).__name__, flush=True)

asyncio.run(main())
"""


class Asking:
    """One process that asks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self._input, self._output = process, process.stdin, process.stdout

    async def ready(self) -> None:
        assert await self._line() == "ready"

    async def ask(self) -> str:
        """What comes of one request; nothing when the process has ended."""
        self._input.write(b"ask\n")
        return await self._line()

    async def end(self) -> int:
        """Its exit status when it is told to end: 0, or else a request ended in a crash."""
        self._input.close()
        await self._output.read()
        return await self.process.wait()

    async def _line(self) -> str:
        return (await self._output.readline()).decode().strip()


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
        await asyncio.gather(*(asking.ready() for asking in found))
        return found


async def ask_all(processes: list[Asking]) -> set[str]:
    """What comes of one request of each, all at the same time."""
    return set(await asyncio.gather(*(process.ask() for process in processes)))


async def test_twenty_processes_that_start_at_once_mint_one_token(database_url: str) -> None:
    async with simulated(database_url) as office, starting(office) as start:
        processes = await start(20)
        assert await ask_all(processes) == {"answered"}
        ended = await asyncio.gather(*(process.end() for process in processes))

        assert ended == [0] * 20
        counts = await office.counts()
        assert (counts["requests"]["oauth.token"], counts["tokens_minted"], counts["refused"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("setting", "path", "refusal"),
    [("RC_CLIENT_SECRET", "client-secrets", {"remove": OLD}), ("RC_JWT", "jwts", {"revoke": [OLD]})],
)
async def test_after_a_rolling_restart_nobody_asks_with_what_was_rotated(
    database_url: str, setting: str, path: str, refusal: dict[str, Any]
) -> None:
    before = {"RC_CLIENT_SECRET": OLD, "RC_JWT": OLD}
    after = before | {setting: NEW}
    # A token lasts six minutes: longer than all of the processes take to start. Both JWTs are of the same user.
    known = {"client_secret": OLD, "jwt": f"{OLD},{NEW}", "users_of_jwts": "0,0"}
    async with simulated(database_url, speed=10.0, **known) as office, starting(office) as start:
        await office.order("limits", {"light": 10_000, "auth": 100})
        await office.order("client-secrets", {"add": NEW})
        old, new = await start(4, **before), list[Asking]()
        assert await ask_all(old) == {"answered"}

        for _ in range(2):
            new += await start(1, **after)
            assert await ask_all(old + new) == {"answered"}
            assert await old.pop().end() == 0
        assert asked_for_tokens(office) == {"old": 1, "new": 1}, "each has its own, although the old one is good"

        # The worst moment: what is old is refused from now on, and every token is gone.
        await office.order(path, refusal)
        await office.order("tokens/drop", {})
        assert await ask_all(old) == {"CredentialRefused"}
        assert await ask_all(new) == {"answered"}
        assert asked_for_tokens(office) == {"old": 2, "new": 2}

        while old:
            new += await start(1, **after)
            assert await ask_all(new) == {"answered"}
            assert await old.pop().end() == 0
        await office.order("tokens/drop", {})
        assert await ask_all(new) == {"answered"}
        assert asked_for_tokens(office) == {"old": 2, "new": 3}
        assert [await process.end() for process in new] == [0] * 4
        counts = await office.counts()
        assert (counts["tokens_minted"], counts["refused"]) == (1 + 3, 0)


def asked_for_tokens(office: Office) -> dict[str, int]:
    """How many tokens were asked for with what is old alone, and with what is new."""
    asked = {"old": 0, "new": 0}
    for used, number in office.simulator.world.tokens.asked_with.items():
        asked["new" if NEW in used else "old"] += number
    return asked
