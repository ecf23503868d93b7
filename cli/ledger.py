"""`ringvault ledger`: what there is of every recording, by day and extension.

Needs DATABASE_URL and RC_ACCOUNT_ID. Shows numbers and ids of extensions, nothing of what was spoken or by whom.
"""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from cli.on_database import on_database
from cli.table import lines_of
from common.database.ledger import AUDIO, INSIGHTS, NUMBERS, REASONS, By, Line, lines, read, total
from common.database.pool import Pool
from common.settings import AccountSettings, DatabaseSettings, SettingsError

From = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="the first day; a week ago")
]
To = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="the last day; today")]
Json = Annotated[bool, typer.Option("--json", help="as JSON: one array, with an object for each line")]
Csv = Annotated[bool, typer.Option("--csv", help="as CSV with a head")]
ByWhat = Annotated[By, typer.Option(help="one line for each day, each extension, or each extension on each day")]

#: The heads of the table; audio stands before insights, each with its cells.
_HEAD: Final = ("CALLS", "RECORDINGS", *(cell.upper() for cell in AUDIO), "| EXPECTED", *(c.upper() for c in INSIGHTS))


class LedgerSettings(DatabaseSettings, AccountSettings):
    """What the command needs."""


def ledger(
    *, from_: From = None, to: To = None, by: ByWhat = "day", as_json: Json = False, as_csv: Csv = False
) -> None:
    """What there is of every recording, by day and extension; days are those of LEDGER_TIME_ZONE."""
    first, last = from_ and from_.date(), to and to.date()
    if first and last and first > last:
        raise SettingsError("--from is later than --to: the first day comes first.")
    if as_json and as_csv:
        raise SettingsError("--json and --csv are both given: choose one of them.")

    async def look(settings: LedgerSettings, pool: Pool) -> list[Any]:
        return await read(pool, settings.rc_account_id, first, last, datetime.now(UTC))

    rows = on_database(LedgerSettings, look)
    found = lines(rows, by)
    if as_json:
        typer.echo(json.dumps([_object(line, by) for line in found], indent=2))
    elif as_csv:
        typer.echo(_csv(found, by), nl=False)
    elif not found:
        typer.echo("there are no calls and no recordings in these days")
    else:
        typer.echo(_table(found, total(rows), by))
        typer.echo(
            f"days are those of {rows[0]['time_zone']}; every recording is in one cell of audio, one of insights"
        )


def _names(line: Line, by: By) -> dict[str, str | None]:
    day = {"day": line.day.isoformat() if line.day else None}
    extension = {"extension_id": line.extension_id}
    return day if by == "day" else extension if by == "extension" else day | extension


def _object(line: Line, by: By) -> dict[str, Any]:
    return _names(line, by) | line.numbers | line.reasons


def _csv(found: list[Line], by: By) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_names(found[0] if found else Line(None, None), by), *NUMBERS, *REASONS])
    for line in found:
        reasons = [" ".join(f"{kind}={n}" for kind, n in sorted(line.reasons[name].items())) for name in REASONS]
        writer.writerow([*_names(line, by).values(), *(line.numbers[name] for name in NUMBERS), *reasons])
    return text.getvalue()


def _table(found: list[Line], all_: Line, by: By) -> str:
    names = [name.upper().removesuffix("_ID") for name in _names(all_, by)]
    rows = [[*(value or "unknown" for value in _names(line, by).values()), *_cells(line)] for line in found]
    return "\n".join(
        lines_of([[*names, *_HEAD, "UNAVAILABLE BECAUSE"], *rows, ["all", *[""] * (len(names) - 1), *_cells(all_)]])
    )


def _cells(line: Line) -> list[str]:
    numbers = [
        f"| {line.numbers[name]}" if name == "insights_expected" else str(line.numbers[name]) for name in NUMBERS
    ]
    reasons = [
        f"{name.split('_')[0]}: {kind} {number}" for name in REASONS for kind, number in line.reasons[name].items()
    ]
    return [*numbers, ", ".join(sorted(reasons))]
