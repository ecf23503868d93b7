"""Commands that ask RingCentral, within the budget that the services share."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.on_database import on_database
from common.clock import SystemClock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral, open_ringcentral
from common.ringcentral.errors import RingCentralError
from common.settings import DatabaseSettings, RingCentralSettings, SettingsError


class ClientSettings(DatabaseSettings, RingCentralSettings):
    """What such a command needs."""


S = TypeVar("S", bound=ClientSettings)
T = TypeVar("T")


def on_ringcentral(kind: type[S], work: Callable[[S, RingCentral, Pool], Awaitable[T]]) -> T:
    """Run a command with a client whose account is confirmed; raises `SettingsError` for what a person must mend."""

    async def run(settings: S, pool: Pool) -> T:
        async with open_ringcentral(settings, pool, SystemClock()) as client:
            try:
                await client.check_account()
                return await work(settings, client, pool)
            except RingCentralError as error:
                raise SettingsError(f"RingCentral: {error}.") from None

    return on_database(kind, run)
