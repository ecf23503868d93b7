"""`ringvault verify`: reads stored objects back and compares their length and sha256 with the rows."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from cli.on_database import on_database
from cli.times import time_of_option
from cli.verification import NoneThereError, Pace, Result, Selection, Verification
from common.clock import SystemClock
from common.database.pool import Pool
from common.settings import AccountSettings, DatabaseSettings, RetentionSettings, SettingsError, StorageSettings
from common.storage.from_settings import storage_of
from common.storage.interface import StorageError

#: The exit statuses: an object differs; it was broken off, as shells say it.
EXIT_DIFFERENCES: Final = 1
EXIT_BROKEN_OFF: Final = 130

_AGE: Final = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[dhm])")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}
#: Bytes of a megabyte, as networks and disks are sold.
_MB: Final = 1_000_000


class VerifySettings(DatabaseSettings, AccountSettings, StorageSettings, RetentionSettings):
    """What the command needs."""


def verify(
    older_than: Annotated[
        str | None, typer.Option(help="only what nobody has looked at for so long (30d, 12h, 5m), or since a time")
    ] = None,
    since: Annotated[str | None, typer.Option(help="only what was stored within so long, or since a time")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="only so many of these, by chance")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="read at most so many MB a second")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what differs")] = False,
    all_missing: Annotated[
        bool, typer.Option("--all-missing", help="believe it when no object at all is found")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as one JSON object")] = False,
) -> None:
    """Read stored audio back and compare it with the rows; what differs is fetched again while RingCentral has it.

    Ends with 0 when all is intact, 1 when something differs, 2 when something must be mended. May be broken off at
    any time: what was looked at is on the rows, and the next run begins with what nobody has looked at for longest.
    """
    clock = SystemClock()
    began = clock.now()
    looked_at_before = _moment("--older-than", older_than, began) or began
    stored_since = _moment("--since", since, began) or datetime.fromtimestamp(0, UTC)
    pace = Pace(rate * _MB if rate else None)

    async def work(settings: VerifySettings, pool: Pool) -> Result:
        selection = Selection(settings.rc_account_id, min(looked_at_before, began), stored_since, sample)
        with _bar() as tell:
            async with storage_of(settings) as storage:
                verification = Verification(pool, storage, clock, selection, pace, tell, dry_run, settings)
                if not all_missing:
                    await verification.check_that_some_are_there()
                return await verification.run()

    try:
        result = on_database(VerifySettings, work)
    except (StorageError, ValueError) as fault:
        raise SettingsError(str(fault)) from None
    except NoneThereError:
        raise SettingsError(
            "none of the objects looked for is in the storage: does STORAGE_URL name the one that they were stored in? "
            "No row was changed; --all-missing goes on all the same."
        ) from None
    typer.echo(json.dumps(result.as_map(), indent=2) if as_json else _told(result, dry_run=dry_run))
    _exit(result, began)


def _moment(option: str, text: str | None, now: datetime) -> datetime | None:
    """An age such as 30d, 12h or 5m, or a time, as a time."""
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    if age:
        return now - timedelta(**{_UNITS[age["unit"]]: int(age["count"])})
    return time_of_option(option, text)


@contextmanager
def _bar() -> Iterator[Callable[[Result], None]]:
    """A progress bar, on a terminal only."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(result: Result) -> None:
            progress.update(task, total=result.selected, completed=result.looked_at)

        yield tell


def _told(result: Result, *, dry_run: bool) -> str:
    lines = [f"{one.domain} {one.source_record_id}: {one.audio_state}: {one.reason}" for one in result.differences]
    if dry_run and lines:
        lines.append("These rows would be changed so; none was.")
    megabytes = result.read_bytes / _MB
    counts = f"{result.intact} intact, {len(result.differences)} different or missing, {result.unread} not read"
    return "\n".join([*lines, f"{result.looked_at} of {result.selected} objects, {megabytes:.1f} MB: {counts}"])


def _exit(result: Result, began: datetime) -> None:
    """End with the status that says how it went; what was not reached can be had by the same with `--older-than`."""
    again = f"`ringvault verify --older-than {began.isoformat()}` goes on with the rest."
    if result.unread:
        raise SettingsError(
            f"{result.unread} objects could not be read, the last because: {result.unread_reason} {again}"
        )
    if not result.finished:
        typer.echo(f"broken off: {again}", err=True)
        raise typer.Exit(EXIT_BROKEN_OFF)
    if result.differences:
        raise typer.Exit(EXIT_DIFFERENCES)
