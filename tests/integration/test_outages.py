"""`ringvault outages`: each dark interval, with what was healed."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from common.database.pool import Pool
from common.database.statements import statements
from services.poller import guard_outages
from simulator import control
from tests.integration.guarded import HOUR, MINUTE, guarded


async def ringvault(database_url: str, account_id: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "outages", *arguments),
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "RC_ACCOUNT_ID": account_id},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_the_command_tells_of_each_interval_what_was_healed(pool: Pool, database_url: str) -> None:
    async with guarded(pool) as account:
        account_id = account.client.account_id
        await account.look()
        assert await ringvault(database_url, account_id) == "there was no outage\n"

        # Given insights of three calls that nobody got, and those of two others, which came
        await account.call()
        await account.live(10 * MINUTE, rounds=2)
        for _ in range(3):
            await account.call()
        await account.pass_time(4 * MINUTE)
        await control.blacklist(account.simulator.world, {})
        await account.pass_time(2 * MINUTE)
        await account.live(MINUTE)
        await account.call()
        await account.live(HOUR, rounds=6)
        (outage,) = await account.outages()

        # When somebody asks
        table = await ringvault(database_url, account_id)
        (told,) = json.loads(await ringvault(database_url, account_id, "--json"))

        # Then he is told what was dark, and that all of it is here
        assert told["began_at"] == outage["began_at"].isoformat()
        assert told["ended_at"] == outage["ended_at"].isoformat()
        assert (told["reason"], told["recordings_due"], told["recordings_healed"]) == ("blacklisted", 0, 3)
        head, line = table.splitlines()
        assert head.split() == ["BEGAN", "ENDED", "REASON", "HEALED", "STILL", "DUE"]
        assert line.split()[-3:] == ["blacklisted", "3", "0"]
        assert await ringvault(database_url, "42") == "there was no outage\n"


async def test_an_interval_that_goes_on_says_so(pool: Pool, database_url: str) -> None:
    await pool.execute(
        "INSERT INTO subscription_outages (account_id, began_at, noticed_at, reason, subscription_id)"
        " VALUES ('42', '2026-01-01', '2026-01-01', 'filters_disabled', 'one')"
    )

    _, line = (await ringvault(database_url, "42")).splitlines()

    assert "goes on" in line
    assert line.split()[-2:] == ["0", "0"]


async def test_a_long_one_ends_in_many_transactions_so_that_the_leader_stays(
    pool: Pool, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_outages, "TOGETHER", 2, raising=False)
    async with guarded(pool) as account:
        # Given recordings of a dark interval, the last of which somebody holds
        await account.look()
        for _ in range(7):
            await account.call()
        await account.live(HOUR / 2)
        await pool.execute("UPDATE recordings SET started_at = now() - interval '1 hour', insights_state = 'absent'")
        *others, last = sorted(row["source_record_id"] for row in await pool.fetch("SELECT * FROM recordings"))
        await pool.execute("UPDATE recordings SET started_at = now() WHERE source_record_id = $1", last)
        await pool.execute(
            "INSERT INTO subscription_outages (account_id, began_at, noticed_at, reason)"
            " VALUES ($1, now() - interval '30 days', now(), 'filters_disabled')",
            account.client.account_id,
        )

        async def due() -> list[str]:
            sql = "SELECT source_record_id FROM recordings WHERE insights_due_at <= $1 ORDER BY source_record_id"
            return [row["source_record_id"] for row in await pool.fetch(sql, account.clock.now())]

        assert await due() == []
        async with pool.transaction() as holding:
            await holding.execute("SELECT FROM recordings WHERE source_record_id = $1 FOR UPDATE", last)

            # When events come again
            ending = asyncio.create_task(account.look())

            # Then the others are due at once, and the last one when it is free
            await eventually(lambda: is_so(due, others))
        await ending

        assert await due() == [*others, last]
        (outage,) = await account.outages()
        assert (outage["ended_at"] is None, outage["recordings_due"]) == (False, 7)


async def test_what_is_erased_meanwhile_falls_due_no_more(pool: Pool, until_it_waits: Any) -> None:
    await pool.execute(
        "INSERT INTO recordings (account_id, domain, source_record_id, started_at, first_seen_at, updated_at)"
        " SELECT '42', 'pbx', '1', n, n, n FROM now() n"
    )
    began, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    async with pool.transaction() as erasing:
        await erasing.execute("UPDATE recordings SET audio_state = 'erased'")

        falling = asyncio.create_task(
            pool.fetchrow(statements("recordings_insights")["fall_due"], "42", began, now, now, 5)
        )
        await until_it_waits(falling)

    row = await falling
    assert row is not None
    assert (row["found"], row["due"]) == (1, 0)
    assert await pool.fetchval("SELECT insights_due_at FROM recordings") is None


async def is_so(look: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await look() == wanted
