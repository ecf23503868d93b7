"""`ringvault backfill` on weeks of calls: it takes what was planned, and what was fetched is not fetched again."""

import asyncio
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, until

#: Four weeks of calls, all of them before what the first poll reads.
DAYS = 28
RECORDINGS = 100
COMPANY = {"recordings": RECORDINGS, "span": (DAYS - 2) * 86_400, "history": DAYS * 86_400, "elapsed": DAYS * 86_400}
#: A minute's budget is there again after a second, which is the shortest that a header can tell.
QUICK = {"speed": 60}
LIMITS = {"heavy": 100, "light": 200, "medium": 50, "auth": 50}
#: What a plan may be off by.
EXACT = 0.05

CONCURRENCY = 4
#: How often each is broken off, by turns by SIGKILL and SIGINT, and the seconds of work after which.
INTERRUPTIONS, LONGEST_LIFE = 5, 1.0
SEED = "INTERRUPTED_BACKFILL_SEED"

#: Ten minutes later: what no event has brought is asked for.
LATER = "UPDATE recordings SET insights_due_at = now() WHERE insights_due_at > now()"
PLANNED = "SELECT bool_and(insights_due_at IS NOT NULL) FROM recordings"
UNDECIDED = "SELECT count(*) FROM recordings WHERE insights_state = 'absent'"
FINISHED = "SELECT finished_at IS NOT NULL FROM call_log_readings WHERE kind = 'backfill'"
READ_UNTIL = "SELECT read_until FROM call_log_readings WHERE kind = 'backfill' AND finished_at IS NULL"
LIMIT_KNOWN = "SELECT slots > 1 FROM rate_groups WHERE rate_group = 'heavy'"
STORED = "SELECT source_record_id FROM recordings WHERE audio_state = 'stored'"
#: As when the claims of the dead have run out.
LET_GO = """
UPDATE recordings SET audio_claimed_until = CASE WHEN audio_claim IS NULL THEN NULL ELSE clock_timestamp() END,
    audio_due_at = clock_timestamp() - interval '1 hour', audio_announced_at = NULL
WHERE audio_state = 'pending'
"""

pytestmark = [
    pytest.mark.parametrize("servers", ["direct"], indirect=True),  # it takes a while, and says nothing of a pooler.
    pytest.mark.timeout(600),
]


class Backfill:
    """The command, as an operator runs it on all four weeks, and what it asked RingCentral for."""

    def __init__(self, pipeline: Pipeline) -> None:
        now = datetime.now(UTC)
        self._span = (
            "--from",
            (now - timedelta(days=DAYS + 1)).isoformat(),
            "--to",
            (now - timedelta(days=1)).isoformat(),
        )
        self._pipeline = pipeline

    async def start(self, command: str) -> asyncio.subprocess.Process:
        heeding = ("env", "--default-signal=INT")  # whatever started these tests: a shell's background jobs ignore it
        return await asyncio.create_subprocess_exec(
            *heeding,
            *(sys.executable, "-m", "cli", "backfill", command, *self._span),
            env=self._pipeline.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, command: str) -> str:
        process = await self.start(command)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    def asked(self) -> Counter[str]:
        """Requests by endpoint."""
        return Counter(self._pipeline.ask_simulator("/simulator/counts")["requests"])

    def audio(self) -> Counter[str]:
        """Requests for each recording's content."""
        paths: dict[str, int] = self._pipeline.ask_simulator("/simulator/requests").get("recording.content", {})
        counted: Counter[str] = Counter()
        for path, number in paths.items():
            counted[path.split("/recording/")[1].split("/")[0]] += number
        return counted

    def windows(self) -> Counter[datetime]:
        """How often the first page of each window was read, by its begin."""
        paths: dict[str, int] = self._pipeline.ask_simulator("/simulator/requests").get("call_log.list", {})
        counted: Counter[datetime] = Counter()
        for path, number in paths.items():
            query = parse_qs(urlsplit(path).query)
            assert query["page"] == ["1"]  # a day of this company fits on a page
            counted[datetime.fromisoformat(query["dateFrom"][0])] += number
        return counted


@pytest.fixture
def backfill(pipeline: Pipeline) -> Backfill:
    pipeline.start_simulator(**COMPANY, **QUICK)
    pipeline.ask_simulator("/simulator/limits", LIMITS)
    return Backfill(pipeline)


async def test_a_plan_says_within_five_percent_what_the_run_takes(
    pipeline: Pipeline, rows: Rows, backfill: Backfill
) -> None:
    told = await backfill.run("plan")
    planned = {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)", told, re.MULTILINE)}
    before = backfill.asked()
    pipeline.start_all("poller", "downloader")

    said = await backfill.run("run")
    await _begin_anew(pipeline)
    await until(lambda: rows.ask(PLANNED), what="a time at which insights are asked for")
    await rows.ask(LATER)
    await _begin_anew(pipeline)
    await until(lambda: rows.ask(f"SELECT ({UNDECIDED}) = 0"), what="an answer about all insights")

    assert said == f"{RECORDINGS} recordings: {RECORDINGS} stored, 0 to be fetched\n"
    needed = backfill.asked() - before
    kinds = {name: needed[name] for name in ("call_log.list", "recording.content", "recording.get", "insights.record")}
    heavy = sum(kinds.values()) - kinds["insights.record"]
    print(f"planned {planned}, needed {heavy} heavy requests: {kinds}")  # noqa: T201 - pytest shows it when the test fails.
    assert planned["requests"] == pytest.approx(heavy, rel=EXACT)
    assert planned["insights"] == pytest.approx(kinds["insights.record"], rel=EXACT)
    assert planned["recordings"] == pytest.approx(RECORDINGS, rel=EXACT)
    assert planned["calls"] == pytest.approx(await rows.ask("SELECT count(*) FROM calls"), rel=EXACT)
    again = await backfill.run("plan")
    assert re.search(r"recordings +0 ", again)
    assert re.search(r"insights +0 ", again)


async def _begin_anew(pipeline: Pipeline) -> None:
    """The leader looks at once, and not after its half minute."""
    await asyncio.to_thread(pipeline.services["poller"].end, signal.SIGTERM)
    pipeline.start("poller")


def moments() -> random.Random:
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")  # noqa: T201 - pytest shows it when the test fails.
    return random.Random(seed)


async def test_a_reading_that_is_broken_off_reads_again_the_window_in_hand_at_most(
    pipeline: Pipeline, rows: Rows, backfill: Backfill
) -> None:
    chance, in_hand = moments(), Counter[datetime]()
    # So slow that not all of it is read in five lives of a second.
    slow = {"endpoint": "call_log.list", "kind": "stall", "seconds": 0.5, "times": 2 * DAYS}
    pipeline.ask_simulator("/simulator/faults", slow)
    for number in range(INTERRUPTIONS):
        before = backfill.windows().total()
        process = await backfill.start("run")
        await until(_more_than(lambda: backfill.windows().total(), before), what="a window that is read")
        # As long as no answer has told the limit there is one slot, and whoever is killed with it keeps it for a while.
        await until(lambda: rows.ask(LIMIT_KNOWN), what="an answer that tells the limit")
        await _broken_off(process, chance, number)
        in_hand[await rows.ask(READ_UNTIL)] += 1

    read: list[Counter[datetime]] = []
    for number in range(2):  # while it waits for the services, of which none is there
        process = await backfill.start("run")
        assert process.stderr is not None
        await process.stderr.readuntil(b"fetching")
        await _broken_off(process, chance, number)
        read.append(backfill.windows())
    windows, later = read

    assert await rows.ask(FINISHED)
    print(f"{windows.total()} requests for {len(windows)} windows, {INTERRUPTIONS} times broken off")  # noqa: T201 - as above.
    assert len(windows) == DAYS
    assert all(number <= 1 + in_hand[begin] for begin, number in windows.items())
    assert windows.total() > len(windows)  # or nothing was put to the test
    assert later == windows  # what was read to its end is not read again


async def test_fetching_that_is_broken_off_fetches_again_the_streams_in_flight_at_most(
    pipeline: Pipeline, rows: Rows, backfill: Backfill
) -> None:
    chance, interrupted, frozen = moments(), Counter[str](), dict[str, int]()
    slow = {"endpoint": "recording.content", "kind": "slow", "bytes_per_second": 1_500_000, "times": 60}
    pipeline.ask_simulator("/simulator/faults", slow)
    pipeline.start("poller")
    running = await backfill.start("run")
    for number in range(INTERRUPTIONS):
        before = backfill.audio().total()
        downloader = pipeline.start("downloader", DOWNLOAD_CONCURRENCY=str(CONCURRENCY), GRACE_PERIOD="0.1")
        await until(_more_than(lambda: backfill.audio().total(), before), what="a stream")
        await asyncio.sleep(chance.uniform(0, LONGEST_LIFE))  # chance is the point: there is no fact to wait for.
        downloader.end((signal.SIGKILL, signal.SIGINT)[number % 2])
        asked = backfill.audio()
        stored = {row["source_record_id"] for row in await rows.all(STORED)}
        for recording in stored:
            assert asked[recording] == frozen.setdefault(recording, asked[recording])
        in_flight = {one for one in asked if one not in stored and asked[one] > interrupted[one]}
        assert len(in_flight) <= CONCURRENCY
        interrupted.update(in_flight)
        await rows.ask(LET_GO)
    pipeline.start("downloader", "the last")

    out, _ = await running.communicate()

    assert out.decode() == f"{RECORDINGS} recordings: {RECORDINGS} stored, 0 to be fetched\n"
    asked = backfill.audio()
    print(f"{asked.total()} requests for {len(asked)} recordings, {interrupted.total()} streams broken off")  # noqa: T201 - as above.
    assert len(asked) == RECORDINGS
    assert all(number == 1 + interrupted[recording] for recording, number in asked.items())
    assert interrupted.total() > 0  # or nothing was put to the test


async def _broken_off(process: asyncio.subprocess.Process, chance: random.Random, number: int) -> None:
    await asyncio.sleep(chance.uniform(0, LONGEST_LIFE))
    process.send_signal((signal.SIGKILL, signal.SIGINT)[number % 2])
    await process.communicate()


def _more_than(counted: Callable[[], int], before: int) -> Callable[[], Any]:
    async def more() -> bool:
        return counted() > before

    return more
