"""`ringvault replay`: the journal once more into the rows."""

import sys
from contextlib import aclosing
from typing import Annotated, Final

import typer

from cli.on_database import on_database
from cli.progress import say
from cli.times import span_of_options
from common.clock import SystemClock
from common.database.pool import Pool
from common.settings import DatabaseSettings
from services.insights.replay import Replayed, Selection, count, replay

Since = Annotated[str, typer.Option(help="events that arrived from then on: a day or a time, in UTC unless it says so")]
Until = Annotated[str, typer.Option(help="and before then")]
Domain = Annotated[str | None, typer.Option(help="of one domain only, such as pbx")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only say how many it would be")]

#: Events that are named when they could not be applied: a few screens, however many there are.
_NAMED: Final = 100


def replay_journal(since: Since, until: Until, domain: Domain = None, *, dry_run: DryRun = False) -> None:
    """Rebuild rows from the journal; what is as it should be stays so.

    What could not be applied is named on stderr. Needs DATABASE_URL.
    """
    selection = Selection(*span_of_options("--since", since, "--until", until), domain)

    async def look(_settings: DatabaseSettings, pool: Pool) -> str:
        if dry_run:
            return f"{await count(pool, selection)} events would be replayed"
        return await _replay(pool, selection)

    typer.echo(on_database(DatabaseSettings, look))


async def _replay(pool: Pool, selection: Selection) -> str:
    """Show how far it is and what could not be applied, and return what it came to in the end."""
    total, not_applied = Replayed(), 0

    def name(event: str) -> None:
        nonlocal not_applied
        not_applied += 1
        if not_applied <= _NAMED:
            say(event)

    with typer.progressbar(length=await count(pool, selection), label="replaying", file=sys.stderr) as bar:
        async with aclosing(replay(pool, SystemClock(), selection, name)) as pages:
            async for page in pages:
                total += page
                bar.update(page.events)
    if not_applied > _NAMED:
        say(f"{not_applied - _NAMED} more could not be applied: a shorter span names them")
    return f"{total.events} events replayed, {total.changed} rows changed, {total.not_applied} not applied"
