"""Watching: live progress until all is done, then the check and a summary. `python -m demo.watch` for running services.

Settings are those of a downloader; `RC_SERVER_URL` must be the simulator.
"""

import asyncio
import os
import sys
import time
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from common.database.pool import DatabaseAway, Pool, open_pool
from common.settings import DatabaseSettings, HttpUrl, Seconds, SettingsError, StorageSettings, read_settings
from common.storage.from_settings import storage_of
from common.storage.interface import Storage
from demo.check import Verdict, check
from demo.summary import show_summary

#: Seconds between two looks at the progress.
_LOOK_EVERY: Final = 0.5
#: Recordings of the demonstration's company, at least: fewer would pass without having shown anything.
LEAST_RECORDINGS: Final = 200
#: Seconds between two lines of progress where there is no terminal.
_LINE_EVERY: Final = 5.0

_PROGRESS: Final = """
SELECT (SELECT count(*) FROM calls) AS calls, count(*) FILTER (WHERE audio_state = 'stored') AS stored,
    count(*) FILTER (WHERE insights_state = 'present') AS insights, coalesce(sum(audio_bytes), 0)::bigint AS bytes,
    coalesce((SELECT count(*) FROM insight_events), 0) AS events
FROM recordings
"""


class WatchSettings(DatabaseSettings, StorageSettings):
    """What the watcher needs."""

    rc_server_url: HttpUrl
    demo_deadline: Seconds = 240.0


async def watch(settings: WatchSettings, console: Console, *, at_least: int = 1) -> Verdict:
    """Show progress until everything is there or the deadline is over; then check and show the summary.

    A company of fewer than `at_least` recordings is a fault.
    """
    async with (
        httpx.AsyncClient(base_url=settings.rc_server_url, timeout=60) as simulator,
        open_pool(settings.database_url.get_secret_value(), "demo", size=2) as pool,
        storage_of(settings) as storage,
    ):
        started = time.monotonic()
        verdict = await _until_done(settings, simulator, pool, storage, console, at_least)
        await show_summary(console, verdict, pool, settings.storage_url, time.monotonic() - started)
        return verdict


async def _until_done(
    settings: WatchSettings,
    simulator: httpx.AsyncClient,
    pool: Pool,
    storage: Storage,
    console: Console,
    at_least: int,
) -> Verdict:
    deadline = time.monotonic() + settings.demo_deadline
    truth = await _ask(simulator, "truth", deadline)
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = _Bars(progress, truth, console)
        while True:
            truth = await _ask(simulator, "truth", deadline)
            seen = await _progress(pool)
            bars.show(seen)
            done = truth["finished"] and seen["stored"] >= len(truth["recordings"]) and seen["calls"] >= truth["calls"]
            late = time.monotonic() > deadline
            if done or late:
                counts = await _ask(simulator, "counts", deadline)
                verdict = await check(truth, counts, pool, storage, at_least=at_least)
                if not verdict.faults or late:
                    return verdict
            await asyncio.sleep(_LOOK_EVERY)


class _Bars:
    """The bars of a terminal, or a line now and then."""

    def __init__(self, progress: Progress, truth: dict[str, Any], console: Console) -> None:
        self._progress, self._console, self._last = progress, console, 0.0
        self._totals = {
            "calls": truth["calls"],
            "insights": sum(bool(recording["insight_kinds"]) for recording in truth["recordings"]),
            "audio": len(truth["recordings"]),
            "megabytes": sum(recording["bytes"] for recording in truth["recordings"]) / 1e6,
        }
        self._tasks = {name: progress.add_task(name, total=total, shown="") for name, total in self._totals.items()}

    def show(self, seen: dict[str, Any]) -> None:
        values = {
            "calls": seen["calls"],
            "insights": seen["insights"],
            "audio": seen["stored"],
            "megabytes": seen["bytes"] / 1e6,
        }
        shown = {name: f"{value:.0f} of {self._totals[name]:.0f}" for name, value in values.items()}
        for name, task in self._tasks.items():
            self._progress.update(task, completed=values[name], shown=shown[name])
        if not self._console.is_terminal and time.monotonic() - self._last > _LINE_EVERY:
            self._last = time.monotonic()
            self._console.print("  ".join(f"{name} {text}" for name, text in shown.items()))


async def _progress(pool: Pool) -> dict[str, Any]:
    try:
        row = await pool.fetchrow(_PROGRESS)
    except DatabaseAway:
        row = None
    return dict(row) if row else {"calls": 0, "stored": 0, "insights": 0, "bytes": 0}


async def _ask(simulator: httpx.AsyncClient, what: str, deadline: float) -> dict[str, Any]:
    """Ask the simulator; it may still be starting."""
    while True:
        try:
            answer = await simulator.get(f"/simulator/{what}")
            body: dict[str, Any] = answer.raise_for_status().json()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_EVERY)
        else:
            return body


def main() -> int:
    """Watch what the environment names; 0 when all is there."""
    try:
        settings = read_settings(WatchSettings, os.environ)
    except SettingsError as fault:
        sys.stderr.write(f"demo: {fault}\n")
        return 2
    return 1 if asyncio.run(watch(settings, Console(), at_least=LEAST_RECORDINGS)).faults else 0


if __name__ == "__main__":
    sys.exit(main())
