"""Starting: wait for RingCentral, refuse credentials that are not this account's."""

import asyncio
from typing import Final

import structlog

from common.database.pool import DatabaseAway
from common.pause import pause
from common.process import CannotStart
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import CredentialRefused, RingCentralError
from common.telemetry.health import Health

#: Seconds between two attempts: the group auth allows five requests a minute, and the budget makes sure of it.
_LOOK_AGAIN: Final = 5.0


async def wait_for_account(client: RingCentral, health: Health, stop: asyncio.Event) -> bool:
    """Return True once RingCentral has confirmed who we are, False when stopped before.

    Raises `CannotStart` when every credential is refused or belongs to another account. RingCentral has to say so after
    this start: what it said before does not count. Until then the process is not ready.
    """
    confirmed = False
    health.conditions["RingCentral has confirmed the account"] = lambda: confirmed
    while not stop.is_set():
        try:
            await client.check_account()
        except CredentialRefused as fault:
            raise CannotStart(f"RC_JWT cannot be used: {fault}.") from None
        except (RingCentralError, DatabaseAway) as error:
            reason = str(error) if isinstance(error, RingCentralError) else type(error).__name__
            structlog.get_logger().warning("account_not_checked", reason=reason)
            await pause(_LOOK_AGAIN, stop)
        else:
            confirmed = True
            return True
    return False
