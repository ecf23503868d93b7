"""`ringvault backfill`: the past, fetched behind live traffic: what it would come to, and doing it."""

import asyncio
import sys
from contextlib import suppress
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
from services.poller.backfill import DEFAULT_BYTES_PER_SECOND, Pace, Plan, plan_of, read_day, sample_of
from services.poller.history import windows_between
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

    Reads some days of the call log, within the budget, and writes nothing.
    """
    begins, ends = span_of_options("--from", from_, "--to", to)

    async def work(settings: PlanSettings, client: RingCentral, pool: Pool) -> Plan:
        windows = list(windows_between(begins, ends))
        read = [await read_day(client, window) for window in sample_of(windows)]
        stored = (await _numbers(client, pool, begins, ends))["stored"]
        pace = await _pace(client, pool, timedelta(days=settings.retention_automatic_days))
        return plan_of(windows, read, stored, pace, SystemClock().now())

    _print(on_ringcentral(PlanSettings, work))


@app.command()
def run(from_: From, to: To, *, no_wait: NoWait = False) -> None:
    """Read the call log of a span and fetch its audio behind live traffic; what was broken off goes on.

    The services do the fetching: this command shows how far they are, and may be left at any time.
    """
    begins, ends = span_of_options("--from", from_, "--to", to)

    async def work(_settings: ClientSettings, client: RingCentral, pool: Pool) -> dict[str, int]:
        await read_with_progress(client, pool, "backfill", begins, ends)
        if not no_wait:
            with suppress(asyncio.CancelledError):
                await _watch(client, pool, begins, ends)
        return await _numbers(client, pool, begins, ends)

    numbers = on_ringcentral(ClientSettings, work)
    typer.echo(f"{numbers['recordings']} recordings: {numbers['stored']} stored, {numbers['waiting']} to be fetched")


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
    basis = "all read" if found.sampled == found.days else f"estimated from {found.sampled} of them"
    typer.echo(f"days         {found.days} ({basis})")
    typer.echo(f"calls        {found.calls}")
    typer.echo(f"recordings   {found.recordings} that are not here yet")
    typer.echo(f"audio        {found.bytes / 1e9:.1f} GB at most, by the length of the calls")
    typer.echo(f"requests     {found.requests} heavy ones, behind live traffic")
    time = "never: live traffic takes the whole budget; add a service user to RC_JWT"
    if found.seconds is not None:
        time = f"{found.seconds / 3600:.1f} hours under the present budget"
    typer.echo(f"time         {time}")
    typer.echo(f"too late     {found.expire} recordings would be dropped by RingCentral before their turn")
