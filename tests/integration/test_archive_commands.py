"""`ringvault replay` and `ringvault rebuild`, as an operator runs them."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.database.pool import Pool
from common.messages import InsightsReceived
from common.telemetry.health import Work
from services.insights.handle import handle
from tests.end_to_end.sender import insights_event

ACCOUNT = "700100200"
AT = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
THAT_DAY = ("--since", "2026-03-09", "--until", "2026-03-10T00:00:00+00:00")

Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Command:
    """Run `ringvault …`; its status, stdout and stderr."""

    async def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        usual = {"DATABASE_URL": database_url, "RC_ACCOUNT_ID": ACCOUNT, "STORAGE_URL": tmp_path.as_uri()}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli", *arguments),
            env={"PATH": os.environ["PATH"]} | usual | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_replay_says_what_it_would_do_and_then_what_it_did(pool: Pool, command: Command) -> None:
    raw = insights_event("5501", {"Summary": [{"value": "They agreed."}]})
    await handle(pool, SystemClock(), [InsightsReceived(raw, ACCOUNT, AT)], Work())
    await pool.execute("DELETE FROM recordings")

    assert await command("replay", *THAT_DAY, "--dry-run") == (0, "1 events would be replayed\n", "")
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 0
    status, out, _ = await command("replay", *THAT_DAY)

    assert (status, out) == (0, "1 events replayed, 1 rows changed, 0 not applied\n")
    assert await pool.fetchval("SELECT insights_state FROM recordings WHERE source_record_id = '5501'") == "present"


async def test_replay_names_what_it_could_not_apply_and_says_nothing_of_what_it_holds(
    pool: Pool, command: Command
) -> None:
    broken, pointless = b'{"body": {"title": "Somebody', b'{"event": "/other", "body": {"title": "Somebody"}}'
    refused = insights_event("5501", {}, title="Somebody")
    for seconds, raw in enumerate((broken, pointless, refused)):
        event = InsightsReceived(raw, ACCOUNT, AT + timedelta(seconds=seconds))
        await handle(pool, SystemClock(), [event], Work())
    await pool.execute("DELETE FROM recordings")
    await pool.execute("ALTER TABLE recordings ADD CONSTRAINT refuse CHECK (title <> 'Somebody')")

    status, out, err = await command("replay", *THAT_DAY)

    assert (status, out) == (0, "3 events replayed, 0 rows changed, 3 not applied\n")
    keys = await pool.fetch("SELECT received_at, digest FROM insight_events ORDER BY received_at")
    first, second, third = [f"{row['received_at'].isoformat()} \\x{row['digest'].hex()}" for row in keys]
    assert sorted(err.splitlines()[1:]) == [  # below the progress
        f"{first}: not read: it is not JSON",
        f"{second}: not understood: it is not an event about insights",
        f"{third}: Postgres refused it: CheckViolationError",
    ]


async def test_replay_names_a_hundred_that_it_could_not_apply_and_counts_the_others(
    pool: Pool, command: Command
) -> None:
    events = [InsightsReceived(b"%d" % number, ACCOUNT, AT) for number in range(102)]
    await handle(pool, SystemClock(), events, Work())

    _, _, err = await command("replay", *THAT_DAY)

    _progress, *told, rest = err.splitlines()
    assert len(set(told)) == 100
    assert rest == "2 more could not be applied: a shorter span names them"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--since", "yesterday", "--until", "2026-03-10"), "--since is no time"),
        (("--since", "2026-03-10", "--until", "2026-03-10"), "--since is not before --until"),
    ],
)
async def test_a_time_that_is_none_is_one_sentence(command: Command, arguments: tuple[str, ...], told: str) -> None:
    status, out, err = await command("replay", *arguments)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert told in err


async def test_rebuild_needs_a_schema_and_a_storage(pool: Pool, command: Command, tmp_path: Path) -> None:
    nothing = "0 recordings (0 of them without their audio) and 0 events restored, 0 objects not readable\n"
    assert await command("rebuild") == (0, nothing, "")

    folder = tmp_path / ACCOUNT / "pbx"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{}")
    _, out, err = await command("rebuild")
    assert out.endswith("1 objects not readable\n")
    assert err == f"{ACCOUNT}/pbx/1.json: it is no file that stands beside a recording\n"

    (tmp_path / "file").write_text("no folder")
    status, out, err = await command("rebuild", STORAGE_URL=(tmp_path / "file").as_uri())
    assert (status, out) == (2, "")
    assert "check STORAGE_URL" in err

    await pool.execute("DROP TABLE schema_migrations")
    status, out, err = await command("rebuild")
    assert (status, out) == (2, "")
    assert "run `ringvault migrate`" in err
