"""`ringvault verify` finds what happened to objects, and the downloader heals it; with read-back at once if wanted."""

import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from common.storage.interface import Storage
from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, sha256_of, storage_of, truth_of, until

VERIFY = (sys.executable, "-m", "cli", "verify")
RECORDINGS = 6
VERIFIED = "SELECT count(*) FROM recordings WHERE audio_verified_at IS NOT NULL"
STORED = "SELECT count(*) FROM recordings WHERE audio_state = 'stored'"


async def verify(pipeline: Pipeline, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as an operator does."""
    return await asyncio.to_thread(
        subprocess.run, [*VERIFY, *options], env=pipeline.environment, capture_output=True, text=True, check=False
    )


async def replace(storage: Storage, name: str, body: bytes) -> None:
    async def chunks() -> Any:
        yield body

    await storage.put(name, chunks(), content_type="audio/mpeg")


@pytest.mark.parametrize("pipeline", ["s3"], indirect=True)
async def test_a_flipped_byte_a_cut_object_and_a_missing_one_are_found_and_healed(
    pipeline: Pipeline, rows: Rows
) -> None:
    pipeline.start_simulator(recordings=RECORDINGS, history=3600, elapsed=3600)
    pipeline.start_all("poller", "downloader")
    await until(lambda: rows.ask(f"SELECT ({STORED}) = {RECORDINGS}"), what="all stored")
    flipped, cut, missing, *intact = await rows.all("SELECT * FROM recordings ORDER BY source_record_id")
    first = await verify(pipeline)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"{RECORDINGS} of {RECORDINGS} objects, ")

    # Given one object with a flipped byte, one that was cut, and one that is gone
    pipeline.kill("downloader")
    async with storage_of(pipeline) as storage:
        body = b"".join([chunk async for chunk in storage.read(flipped["audio_object"])])
        await replace(storage, flipped["audio_object"], body[:99] + bytes([body[99] ^ 1]) + body[100:])
        await replace(storage, cut["audio_object"], body[:99])
        await storage.delete(missing["audio_object"])

        # When they are verified
        found = await verify(pipeline, "--json")

        # Then each is told of, with its reason, and is to be fetched again
        assert found.returncode == 1
        told = json.loads(found.stdout)
        reasons = {one["source_record_id"]: one["reason"] for one in told["differences"]}
        assert (told["intact"], told["finished"]) == (RECORDINGS - 3, True)
        assert "other bytes than were stored" in reasons[flipped["source_record_id"]]
        assert f"has 99 bytes of {cut['audio_bytes']}" in reasons[cut["source_record_id"]]
        assert "not in the storage any more" in reasons[missing["source_record_id"]]
        assert {one["audio_state"] for one in told["differences"]} == {"pending"}

        # And a downloader, which reads back what it stores, heals them all
        pipeline.start("downloader", "another downloader", VERIFY_AFTER_STORE="true")
        await until(lambda: rows.ask(f"SELECT ({STORED}) = {RECORDINGS}"), what="all stored again")
        for row in (flipped, cut, missing, *intact):
            truth = truth_of(pipeline, row["source_record_id"])
            assert await sha256_of(storage, row["audio_object"]) == truth["sha256"] == row["audio_sha256"]
    assert (await verify(pipeline, "--older-than", "0m")).returncode == 0


async def test_a_run_that_is_broken_off_says_how_to_go_on_with_the_rest(pipeline: Pipeline, rows: Rows) -> None:
    pipeline.start_simulator(recordings=0)
    pipeline.ask_simulator("/simulator/calls", {"count": 12, "appears_after": 0, "audio_after": 0})
    pipeline.start_all("poller", "downloader")
    await until(lambda: rows.ask(f"SELECT ({STORED}) = 12"), what="all stored")
    heeding = ("env", "--default-signal=INT")  # whatever started these tests: a shell's background jobs ignore it
    slow = await asyncio.create_subprocess_exec(
        *heeding, *VERIFY, "--rate", "0.2", env=pipeline.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    await until(lambda: rows.ask(f"SELECT ({VERIFIED}) > 0"), what="a verified object")

    slow.send_signal(signal.SIGINT)

    told = (await slow.communicate())[1].decode()
    assert slow.returncode == 130
    verified = await rows.ask(VERIFIED)
    assert 0 < verified < 12
    options = told[told.index("verify") + len("verify") : told.rindex("`")].split()
    rest = await verify(pipeline, *options, "--json")
    assert rest.returncode == 0
    # What was on its way to Postgres when the process ended may have been recorded after we looked.
    assert 0 < json.loads(rest.stdout)["intact"] <= 12 - verified
    assert await rows.ask(VERIFIED) == 12


async def test_what_a_person_must_mend_is_one_sentence_and_changes_no_row(pipeline: Pipeline, rows: Rows) -> None:
    pipeline.start_simulator(recordings=2, history=3600, elapsed=3600)
    pipeline.start_all("poller", "downloader")
    await until(lambda: rows.ask(f"SELECT ({STORED}) = 2"), what="all stored")

    pipeline.settings["STORAGE_URL"] = f"{pipeline.folder.as_uri()}/elsewhere"
    elsewhere = await verify(pipeline)
    faulty = await verify(pipeline, "--older-than", "a while")

    for done, word in ((elsewhere, "STORAGE_URL"), (faulty, "--older-than")):
        assert (done.returncode, done.stdout) == (2, "")
        assert word in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert await rows.ask(STORED) == 2
