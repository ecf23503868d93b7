"""`ringvault outages`: each dark interval, with what was healed."""

import asyncio
import json
import os
import sys

from common.database.pool import Pool
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
