"""`ringvault outages`: when no event could reach us, why, and what was healed. Needs DATABASE_URL and RC_ACCOUNT_ID."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from cli.on_database import on_database
from cli.table import lines_of
from common.database.outages import read_outages
from common.database.pool import Pool
from common.settings import AccountSettings, DatabaseSettings

Json = Annotated[bool, typer.Option("--json", help="as JSON: one array, with an object for each line")]

_HEAD: Final = ("BEGAN", "ENDED", "REASON", "HEALED", "STILL DUE")


class OutagesSettings(DatabaseSettings, AccountSettings):
    """What the command needs."""


def outages(*, as_json: Json = False) -> None:
    """When no event could reach us, why, how many recordings have insights again, and how many are still due."""

    async def look(settings: OutagesSettings, pool: Pool) -> Sequence[Any]:
        return await read_outages(pool, settings.rc_account_id, datetime.now(UTC))

    rows = [dict(row) for row in on_database(OutagesSettings, look)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=datetime.isoformat))
    elif not rows:
        typer.echo("there was no outage")
    else:
        typer.echo("\n".join(lines_of([_HEAD, *map(_cells, rows)])))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ended = row["ended_at"].isoformat(" ", "seconds") if row["ended_at"] else "goes on"
    told = (row["recordings_healed"], row["recordings_due"])
    return row["began_at"].isoformat(" ", "seconds"), ended, row["reason"], *map(str, told)
