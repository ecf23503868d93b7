"""`python -m benchmarks.budget`: what part of the rate-limit budget many processes use together, none being refused.

Starts a private Postgres, the simulator and so many processes, which send heavy requests through the real client as
fast as it lets them, by default through 50 windows that last 6 s instead of 60. Prints a table, and exits with 0 when
no window held more requests than the limit, nothing was refused, and enough of the budget was used.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from common.clock import SystemClock
from common.database.migrate import migrate
from common.database.pool import open_pool
from common.ringcentral.budget import Group
from common.ringcentral.client import Ask, open_ringcentral
from common.ringcentral.errors import Missing, NoBudget
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from private_servers.errors import PrivateServerError
from private_servers.postgres import Postgres
from private_servers.process import Process

#: Requests that each process has waiting: more than its share of the budget, so that work always waits.
WAITING: Final = 8
#: Part of one user's budget that must be used, by the seconds of a window: what each window loses (the margin, a look
#: at the database) does not grow with it.
ENOUGH: Final = {6.0: 0.92, 60.0: 0.97}
#: Part of the budget of several users that must be used at least: three of them are worth 2.8 users or more.
ENOUGH_OF_SEVERAL: Final = 2.8 / 3
#: Heavy requests a window that the simulator allows each user (facts 6).
LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class Course:
    """How long is measured: so many windows of so many real seconds."""

    windows: int
    seconds: float


#: Five minutes, in which a mistake of one request in 500 shows.
USUAL: Final = Course(50, 6.0)
#: A minute: whether it works at all.
QUICK: Final = Course(8, 6.0)
#: Windows as long as RingCentral's own (facts 6).
REAL: Final = Course(3, 60.0)


class WorkerSettings(DatabaseSettings, RingCentralSettings):
    """What one of the processes needs."""


def main() -> int:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(prog="benchmarks.budget", description=__doc__)
    parser.add_argument("--processes", type=int, default=6, help="processes that share the budget (default 6)")
    course = parser.add_mutually_exclusive_group()
    for name, value in (("quick", QUICK), ("real", REAL)):
        told = f"{value.windows} windows of {value.seconds:g} s instead of {USUAL.windows} of {USUAL.seconds:g} s"
        course.add_argument(f"--{name}", dest="course", action="store_const", const=value, default=USUAL, help=told)
    parser.add_argument("--users", default="0", help="whose each credential is: '0,1,2' are three, '0,0,0' one user")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.until is not None:
        settings = read_settings(WorkerSettings, os.environ)
        sys.stdout.write(f"{json.dumps({'sent': asyncio.run(_work(settings, arguments.until))})}\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="ringvault-budget-") as folder:
        return _measure(arguments, Path(folder))


async def _work(settings: WorkerSettings, until: float) -> list[float]:
    """Send until the machine's steady clock says so; the times at which requests were answered."""
    answered: list[float] = []
    ask = Ask("GET", "/restapi/v1.0/account/~/recording/0", Group.HEAVY)

    async def one_after_another() -> None:
        while True:
            try:
                await client.json(ask)
            except Missing:
                answered.append(time.monotonic())
            except NoBudget:
                continue

    async with (
        open_pool(settings.database_url.get_secret_value(), "benchmark") as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        tasks = [asyncio.create_task(one_after_another()) for _ in range(WAITING)]
        await asyncio.wait(tasks, timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
    return answered


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    users = arguments.users.split(",")
    course: Course = arguments.course
    with Postgres() as postgres:
        asyncio.run(migrate(postgres.url))
        simulator = _start(folder / "simulator", ["-m", "simulator", *_simulator(60 / course.seconds, users)], {})
        processes = [simulator]
        try:
            simulator.wait_until(lambda: bool(_said(simulator)), within=30, name="the simulator")
            told = _said(simulator)
            until = time.monotonic() + course.windows * course.seconds + 3.0  # they import and connect for a while
            command = ["-m", "benchmarks.budget", "--until", str(until)]
            settings = _settings(postgres.url, told)
            workers = [_start(folder / str(n), command, settings) for n in range(arguments.processes)]
            processes += workers
            for worker in workers:
                _wait_for_end(worker)
            with urlopen(f"{told['url']}/simulator/counts", timeout=30) as answer:  # noqa: S310 - our own simulator
                counts = json.load(answer)
        finally:
            for process in processes:
                process.end(signal.SIGTERM)
    return _report(
        [time for worker in workers for time in _said(worker)["sent"]], counts, len(set(users)), course.seconds
    )


def _simulator(speed: float, users: Sequence[str]) -> list[str]:
    jwts = ",".join(f"benchmark.jwt.{number}" for number in range(len(users)))
    return ["--speed", str(speed), "--recordings", "1", "--jwt", jwts, "--users-of-jwts", ",".join(users)]


def _settings(database_url: str, told: Mapping[str, str]) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "RC_SERVER_URL": told["url"],
        "RC_ACCOUNT_ID": told["account_id"],
        "RC_CLIENT_ID": told["client_id"],
        "RC_CLIENT_SECRET": told["client_secret"],
        "RC_JWT": told["jwt"],
    }


def _start(folder: Path, arguments: Sequence[str], settings: Mapping[str, str]) -> Process:
    folder.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **settings}
    return Process([sys.executable, *arguments], folder=folder, env=environment)


def _wait_for_end(worker: Process) -> None:
    while worker.is_alive():
        time.sleep(0.05)
    if not _said(worker):
        raise PrivateServerError(f"a process failed; its last words:\n{worker.log_tail()}")


def _said(process: Process) -> dict[str, Any]:
    """The line on standard output that is meant for us; log lines are others."""
    for line in process.log.read_text(encoding="utf-8").splitlines():
        if line.startswith(('{"sent"', '{"url"')):
            said: dict[str, Any] = json.loads(line)
            return said
    return {}


def _report(sent: Sequence[float], counts: Mapping[str, Any], users: int, window: float) -> int:
    times = sorted(sent)
    heavy = [group for group in counts["groups"] if group["group"] == Group.HEAVY]
    most = max(group["most_in_a_window"] for group in heavy)
    used = used_of(times, LIMIT * users, window)
    per_window = Counter(int((time - times[0]) // window) for time in times)
    lines = {
        "granted": sum(group["granted"] for group in heavy),
        "granted per window": " ".join(str(per_window[number]) for number in range(max(per_window, default=-1) + 1)),
        "most in any window of a user": f"{most} of {LIMIT}, refused ones counted",
        "refused": counts["refused"],
        "budget used": f"{used:.1%} of that of {users} user{'s' if users > 1 else ''}, {used * users:.2f} users' worth",
        "tokens minted": counts["tokens_minted"],
    }
    sys.stdout.writelines(f"{name:<30}{value}\n" for name, value in lines.items())
    faults = list(faults_of(most=most, refused=counts["refused"], used=used, users=users, window=window))
    sys.stdout.writelines(f"FAILED: {fault}\n" for fault in faults)
    return 1 if faults else 0


def faults_of(*, most: int, refused: int, used: float, users: int, window: float) -> Iterator[str]:
    """What must not be, in sentences. `used`: part of the budget of all `users`; `window`: its real seconds."""
    if most > LIMIT:
        yield f"a window of a user held {most} requests, {LIMIT} are allowed"
    if refused:
        yield f"{refused} requests were refused"
    enough = ENOUGH[window] if users == 1 else max(ENOUGH[window], ENOUGH_OF_SEVERAL)
    if used < enough:
        yield f"{used * users:.2f} users' worth were used, {enough * users:.2f} are promised"


def used_of(times: Sequence[float], limit: int, window: float) -> float:
    """The part of a budget that steady work used: whole rounds of `limit`, from the first request to the last.

    Both ends are taken at the same place of a round, so that bursts at the begin and the end count neither way.
    """
    rounds = len(times) // limit - 1
    if rounds < 1:
        return 0.0
    return rounds * window / (times[rounds * limit] - times[0])


if __name__ == "__main__":
    sys.exit(main())
