"""`ringvault backfill`: the past, fetched behind live traffic: what it would come to, and doing it."""

import asyncio
import sys
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from cli.on_ringcentral import ClientSettings, on_ringcentral
from cli.reconcile import From, To, read_with_progress
from cli.times import span_of_options
from common.clock import SystemClock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral
from common.settings import RetentionSettings
from services.poller.backfill import DEFAULT_BYTES_PER_SECOND, Day, Here, Pace, Plan, plan_of, read_enough
from services.poller.history import windows_between
from services.poller.readings import last_reading
from services.poller.reconcile import RECENT

app = typer.Typer(name="backfill", help="The past, fetched behind live traffic.", no_args_is_help=True)

NoWait = Annotated[bool, typer.Option("--no-wait", help="leave when the call log is read; the services go on alone")]

#: Seconds between two looks how much is left: a downloader stores some ten a minute.
_LOOK_EVERY: Final = 5.0


class PlanSettings(ClientSettings, RetentionSettings):
    """What a plan needs."""


@app.command()
def plan(from_: From, to: To) -> None:
    """Say what a backfill comes to: calls, recordings, gigabytes, requests, time, and what would come too late.

    Reads days of the call log, within the budget, until they tell of all of them, and writes nothing.
    """
    begins, ends = span_of_options("--from", from_, "--to", to)

    async def work(settings: PlanSettings, client: RingCentral, pool: Pool) -> Plan:
        windows = list(windows_between(begins, ends))
        read: list[Day] = []
        async with aclosing(read_enough(client, windows)) as days:
            async for day in days:
                read.append(day)
                if sys.stderr.isatty():
                    typer.echo(f"\r{len(read)} days read", err=True, nl=False)
        if sys.stderr.isatty():
            typer.echo(err=True)
        numbers = await _numbers(client, pool, begins, ends)
        here = Here(numbers["audio_done"], numbers["insights_done"])
        pace = await _pace(client, pool, timedelta(days=settings.retention_automatic_days))
        return plan_of(windows, read, here, pace, SystemClock().now())

    _print(on_ringcentral(PlanSettings, work))


@app.command()
def run(from_: From, to: To, *, no_wait: NoWait = False) -> None:
    """Read the call log of a span and fetch its audio behind live traffic; what was broken off goes on.

    The services do the fetching: this command shows how far they are, and may be left at any time.
    """
    begins, ends = span_of_options("--from", from_, "--to", to)

    async def work(_settings: ClientSettings, client: RingCentral, pool: Pool) -> dict[str, int]:
        if not await _only_fetching_is_left(client, pool, begins, ends):
            await read_with_progress(client, pool, "backfill", begins, ends)
        if not no_wait:
            with suppress(asyncio.CancelledError):
                await _watch(client, pool, begins, ends)
        return await _numbers(client, pool, begins, ends)

    numbers = on_ringcentral(ClientSettings, work)
    typer.echo(f"{numbers['recordings']} recordings: {numbers['stored']} stored, {numbers['waiting']} to be fetched")


async def _only_fetching_is_left(client: RingCentral, pool: Pool, begins: datetime, ends: datetime) -> bool:
    """Whether the call log of the span was read to its end, and what it told of is not here yet."""
    reading = await last_reading(pool, client.account_id, "backfill", begins, ends)
    if reading is None or reading.finished_at is None:
        return False
    return bool((await _numbers(client, pool, begins, ends))["waiting"])


async def _watch(client: RingCentral, pool: Pool, begins: datetime, ends: datetime) -> None:
    numbers = await _numbers(client, pool, begins, ends)
    with typer.progressbar(length=numbers["recordings"], label="fetching", file=sys.stderr) as bar:
        while True:
            bar.update(numbers["recordings"] - numbers["waiting"] - bar.pos)
            if not numbers["waiting"]:
                return
            await asyncio.sleep(_LOOK_EVERY)
            numbers = await _numbers(client, pool, begins, ends)


async def _numbers(client: RingCentral, pool: Pool, begins: datetime, ends: datetime) -> dict[str, int]:
    row = await pool.fetchrow(statements("call_log_readings")["waiting"], client.account_id, begins, ends)
    return dict(row or {})


async def _pace(client: RingCentral, pool: Pool, retention: timedelta) -> Pace:
    now = SystemClock().now()
    lately = await _numbers(client, pool, now - RECENT, now)
    size = await pool.fetchval(statements("call_log_readings")["bytes_per_second"], client.account_id)
    return Pace(
        rate=await client.budget.rate(Group.HEAVY) or DEFAULT_RATE,
        live=lately["recordings"] / RECENT.total_seconds(),
        bytes_per_second=size or DEFAULT_BYTES_PER_SECOND,
        retention=retention,
    )


def _print(found: Plan) -> None:
    basis = "all read"
    if found.read < found.days:
        basis = f"estimated from {found.read} of them, give or take {2 * found.error:.0%}"
    typer.echo(f"days         {found.days} ({basis})")
    typer.echo(f"calls        {found.calls}")
    typer.echo(f"recordings   {found.recordings} that are not here yet")
    typer.echo(f"audio        {found.bytes / 1e9:.1f} GB at most, by the length of the calls")
    typer.echo(f"requests     {found.requests} heavy ones, behind live traffic")
    typer.echo(f"insights     {found.insights} light requests at least, behind live traffic")
    time = "never: live traffic takes the whole budget; add a service user to RC_JWT"
    if found.seconds is not None:
        time = f"{found.seconds / 3600:.1f} hours under the present budget"
    typer.echo(f"time         {time}")
    typer.echo(f"too late     {found.expire} recordings would be dropped by RingCentral before their turn")
