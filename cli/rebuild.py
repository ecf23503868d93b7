"""`ringvault rebuild`: the rows from storage alone."""

import sys
from contextlib import aclosing

import typer

from cli.on_database import on_database
from common.clock import SystemClock
from common.database.pool import Pool
from common.settings import AccountSettings, DatabaseSettings, SettingsError, StorageSettings
from common.storage.from_settings import storage_from
from common.storage.interface import StorageError
from services.insights.rebuild import Rebuilt, rebuild


class RebuildSettings(DatabaseSettings, AccountSettings, StorageSettings):
    """What the command needs."""


def rebuild_rows() -> None:
    """Make rows again from what storage holds, into an empty database or beside what is there: what knows more stays.

    What cannot be read is named on stderr. Needs DATABASE_URL (run `ringvault migrate` first), RC_ACCOUNT_ID,
    STORAGE_URL and its keys.
    """
    typer.echo(on_database(RebuildSettings, _rebuild))


async def _rebuild(settings: RebuildSettings, pool: Pool) -> str:
    total = Rebuilt()
    try:
        async with (
            storage_from(settings) as storage,
            aclosing(rebuild(pool, storage, SystemClock(), settings.rc_account_id, _say_unread)) as objects,
        ):
            async for one in objects:
                total += one
                _show(f"{total.recordings} recordings, {total.events} events")
    except (ValueError, StorageError) as fault:
        raise SettingsError(str(fault)) from None
    return (
        f"{total.recordings} recordings ({total.without_audio} of them without their audio) and {total.events} events"
        f" restored, {total.unreadable} objects not readable"
    )


def _say_unread(what: str) -> None:
    _show("")
    typer.echo(what, err=True)


def _show(progress: str) -> None:
    """How far it is, on a terminal, in the place of what it was: how much there is, nobody knows beforehand."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{progress}")
