"""`ringvault rebuild`: the rows from storage alone."""

from contextlib import aclosing

import typer

from cli.on_database import on_database
from cli.progress import say, show
from common.clock import SystemClock
from common.database.pool import Pool
from common.settings import AccountSettings, DatabaseSettings, SettingsError, StorageSettings
from common.storage.from_settings import storage_of
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
            storage_of(settings) as storage,
            aclosing(rebuild(pool, storage, SystemClock(), settings.rc_account_id, say)) as objects,
        ):
            async for one in objects:
                total += one
                # Nobody knows beforehand how much there is.
                show(f"{total.recordings} recordings, {total.events} events")
    except (ValueError, StorageError) as fault:
        raise SettingsError(str(fault)) from None
    return (
        f"{total.recordings} recordings ({total.without_audio} of them without their audio) and {total.events} events"
        f" restored, {total.unreadable} objects not readable"
    )
