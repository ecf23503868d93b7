"""`make bench-replicas`: what more downloaders bring while the budget has room, and what they bring when it has not.

Windows last 6 s instead of 60. Audio comes so slowly that one downloader by itself uses a quarter of the budget of four
service users; then four of them must drain the same recordings at least 3.4 times as fast. With one service user, and
audio so quick that one downloader could use four times its budget, the same change must make no difference; nothing is
refused either way, and the log says that the budget is the limit where it is, and only there.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from common.database.pool import Pool, open_pool
from demo.pipeline import Pipeline, Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ

#: Heavy requests a window that the simulator allows each user (facts 6).
LIMIT: Final = 10
#: Business seconds in one of ours: a window of a minute lasts 6 s.
SPEED: Final = 10
WINDOW: Final = 60 / SPEED
#: `DOWNLOAD_CONCURRENCY`: the default.
STREAMS: Final = 4
#: Downloaders: what is compared.
FEW, MANY = 1, 4
#: Four times as fast less what a replica loses at both ends, and while others hold rows of the budget.
FASTER: Final = 3.4
#: How far "no difference" may be off: a window at the end that is not full.
NO_DIFFERENCE: Final = 0.1
#: All calls are over at the start, and so young that nobody asks for their insights yet.
COMPANY: Final = {"speed": SPEED, "span": 600, "history": 1500, "elapsed": 1500}
#: Bytes after which an audio pauses: its head and its begin arrive at once, as on a slow line.
PAUSES_AFTER: Final = 4096
#: Seconds in which all must be stored, a multiple of what the slowest run takes.
WITHIN: Final = 300.0
_COUNTS: Final = """
SELECT count(*) AS known, count(*) FILTER (WHERE audio_announced_at IS NOT NULL OR audio_state <> 'pending') AS begun,
    count(*) FILTER (WHERE audio_state = 'stored') AS stored
FROM recordings WHERE audio_content_uri IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Course:
    """`reach`: the part of the budget of all `users` that one downloader can use by itself."""

    name: str
    users: int
    reach: float
    recordings: int

    @property
    def latency(self) -> float:
        """Seconds that each audio takes at least."""
        return STREAMS * WINDOW / (LIMIT * self.users * self.reach)


#: The recordings take a downloader 40 rounds of all its streams, and four of them ten.
FOUR: Final = Course("four", users=4, reach=1 / 4, recordings=160)
#: Eight windows of the only user.
ONE: Final = Course("one", users=1, reach=4, recordings=80)


@dataclass(frozen=True, slots=True)
class Drain:
    """How one run went; `said` are the numbers of the lines that the budget is the limit, of all downloaders."""

    course: Course
    replicas: int
    seconds: float
    requests: int
    most: int
    refused: int
    said: Sequence[str]

    @property
    def allowed(self) -> float:
        """Requests that the budget allows at most in such a time: a whole window's at once, more as they leave it."""
        return LIMIT * self.course.users * (self.seconds / WINDOW + 1)


def main() -> int:
    """Run both courses with few and with many downloaders and print; 1 when one is not as promised."""
    parser = argparse.ArgumentParser(prog="benchmarks.replicas", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the company (default 1)")
    parser.add_argument(
        "--only", choices=(FOUR.name, ONE.name), help="the course with four users' credentials, or one's"
    )
    options = parser.parse_args()
    print("users  downloaders  s for each  recordings  seconds  heavy requests  of at most  most in a window  refused")
    faults: list[str] = []
    for course in (FOUR, ONE):
        if options.only in {None, course.name}:
            few, many = (_drain(course, replicas, options.seed) for replicas in (FEW, MANY))
            ratio = few.seconds / many.seconds
            print(f"users: {course.users}; {MANY} downloaders instead of {FEW}: {ratio:.2f} times as fast", flush=True)
            faults += faults_of(few, many)
    print("\n".join(f"FAILED: {fault}" for fault in faults), end="\n" if faults else "")
    return 1 if faults else 0


def faults_of(few: Drain, many: Drain) -> Iterator[str]:
    """What must not be, in sentences."""
    ratio = few.seconds / many.seconds
    if few.course.reach < 1 and ratio < FASTER:
        yield f"{MANY} downloaders were {ratio:.2f} times as fast as {FEW}, {FASTER} are promised"
    if few.course.reach > 1 and abs(ratio - 1) > NO_DIFFERENCE:
        yield f"{MANY} downloaders were {ratio:.2f} times as fast as {FEW} although the budget is the limit"
    for drain in (few, many):
        who = f"{drain.replicas} downloaders for {drain.course.users} users"
        if drain.refused:
            yield f"{who}: {drain.refused} requests were refused"
        if drain.most > LIMIT:
            yield f"{who}: a window of a user held {drain.most} requests, {LIMIT} are allowed"
        limits = drain.course.reach * drain.replicas > 1
        if limits and not drain.said:
            yield f"{who}: no log says that the budget is the limit"
        if drain.course.reach * drain.replicas < 1 and drain.said:
            yield f"{who}: a log says that the budget is the limit, which it is not"


def _drain(course: Course, replicas: int, seed: int) -> Drain:
    """One run on servers of its own: all downloaders are at work before the first recording is announced."""
    downloaders = [f"downloader-{number}" for number in range(replicas)]
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-replicas-") as folder,
        Servers(RabbitMQ(), Postgres(durable=True)).started() as servers,
        Pipeline(Path(folder), servers=servers) as pipeline,
    ):
        pipeline.settings |= {"POLL_INTERVAL": "300", "DOWNLOAD_CONCURRENCY": str(STREAMS)}
        pipeline.migrate()
        jwts = ",".join(f"benchmark.jwt.{number}" for number in range(course.users))
        pipeline.start_simulator(**COMPANY, seed=seed, recordings=course.recordings, jwt=jwts)
        slow = {"kind": "stall", "after_bytes": PAUSES_AFTER, "seconds": course.latency, "times": 10**9}
        pipeline.ask_simulator("/simulator/faults", {"endpoint": "recording.content", **slow})
        pipeline.start("webhook")
        for name in downloaders:
            pipeline.launch("downloader", name)
        for name in downloaders:
            pipeline.wait_ready(name)
        pipeline.launch("poller")
        seconds = asyncio.run(_seconds_of_drain(pipeline, course.recordings))
        counts = pipeline.ask_simulator("/simulator/counts")
        said = [_numbers(line) for name in downloaders for line in pipeline.told(name, "budget_is_the_limit")]
    drain = _drain_of(course, replicas, seconds, counts, said)
    _print(drain)
    return drain


async def _seconds_of_drain(pipeline: Pipeline, recordings: int) -> float:
    """From the first announcement until all are stored."""
    async with open_pool(pipeline.environment["DATABASE_URL"], "benchmark", size=1) as pool:
        await _until(pool, "begun", 1)
        began = time.monotonic()
        await _until(pool, "stored", recordings)
        return time.monotonic() - began


async def _until(pool: Pool, column: str, number: int) -> None:
    deadline = time.monotonic() + WITHIN
    while (await pool.fetchrow(_COUNTS) or {column: 0})[column] < number:
        if time.monotonic() > deadline:
            sys.exit(f"not {number} recordings were {column} within {WITHIN:.0f} s")
        await asyncio.sleep(0.05)


def _drain_of(course: Course, replicas: int, seconds: float, counts: Mapping[str, Any], said: Sequence[str]) -> Drain:
    heavy = [group for group in counts["groups"] if group["group"] == "heavy"]
    granted = sum(group["granted"] for group in heavy)
    most = max(group["most_in_a_window"] for group in heavy)
    return Drain(course, replicas, seconds, granted, most, counts["refused"], said)


def _numbers(line: Mapping[str, Any]) -> str:
    """What a line says that the budget is the limit."""
    return " ".join(
        f"{name}={line[name]}" for name in ("group", "used", "of", "users", "window_seconds", "waiting_part")
    )


def _print(drain: Drain) -> None:
    course = drain.course
    print(
        f"{course.users:5}  {drain.replicas:11}  {course.latency:10.1f}  {course.recordings:10}  {drain.seconds:7.1f}  "
        f"{drain.requests:14}  {drain.requests / drain.allowed:10.0%}  {drain.most:16}  {drain.refused:7}"
    )
    print("".join(f"       budget_is_the_limit {numbers}\n" for numbers in drain.said), end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
