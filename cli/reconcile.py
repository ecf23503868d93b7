"""`ringvault reconcile`: what RingCentral lists of a span, held against the rows."""

import sys
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import typer

from cli.on_ringcentral import ClientSettings, on_ringcentral
from cli.times import span_of_options
from common.clock import SystemClock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral
from services.poller.history import Found
from services.poller.readings import Kind, begin_reading, go_on, last_reading

From = Annotated[str, typer.Option("--from", help="calls that began from then on: a day or a time, in UTC unless said")]
To = Annotated[str, typer.Option("--to", help="and before then")]


def reconcile_span(from_: From, to: To) -> None:
    """Read the call log of a span again and heal what is missing; one that was broken off goes on.

    Needs DATABASE_URL and the settings of RingCentral; its requests go behind live work.
    """
    begins, ends = span_of_options("--from", from_, "--to", to)

    async def work(_settings: ClientSettings, client: RingCentral, pool: Pool) -> Found:
        return await read_with_progress(client, pool, "asked", begins, ends)

    found = on_ringcentral(ClientSettings, work)
    typer.echo(f"{found.calls} calls, {found.recordings} recordings; {found.new_calls} calls were new")
    for why, number in sorted(found.healed.items()):
        typer.echo(f"{number} recordings healed: {why}")
    if not found.healed:
        typer.echo("no recording was missing")


async def read_with_progress(client: RingCentral, pool: Pool, kind: Kind, begins: datetime, ends: datetime) -> Found:
    """Read a span, or what is left of it when it was broken off, and return what was found in all of it."""
    clock = SystemClock()
    reading = await last_reading(pool, client.account_id, kind, begins, ends)
    if reading is None or reading.finished_at is not None:
        reading = await begin_reading(pool, client.account_id, kind, begins, ends, clock.now())
    total = reading.found
    days = (ends - reading.read_until).total_seconds() / 86400
    with typer.progressbar(length=max(1, round(days)), label="reading days", file=sys.stderr) as bar:
        async with aclosing(go_on(client, pool, clock, reading)) as windows:
            async for found in windows:
                total += found
                bar.update(1)
    return total
