"""``ringvault simulator``: the simulator as users start it."""

import asyncio
import json
import signal
import sys

import httpx

RINGVAULT = (sys.executable, "-m", "cli", "simulator")


async def test_it_runs_in_the_foreground_until_it_is_told_to_end() -> None:
    arguments = ("--recordings", "3", "--faults", "http,token")
    process = await asyncio.create_subprocess_exec(*RINGVAULT, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    async with httpx.AsyncClient(base_url=told["url"], timeout=60) as client:
        assert len((await client.get("/simulator/truth")).json()["recordings"]) == 3
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


async def test_an_option_that_cannot_be_is_one_sentence() -> None:
    process = await asyncio.create_subprocess_exec(
        *RINGVAULT, "--faults", "weather", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 1
    assert error.decode().startswith("ringvault simulator: faults: 'weather' is none; choose storm, ")
    assert len(error.decode().splitlines()) == 1


async def test_help_lists_the_options_of_the_simulator() -> None:
    process = await asyncio.create_subprocess_exec(*RINGVAULT, "--help", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"usage: ringvault simulator" in output
    assert b"--without-extract-sync" in output
