"""Starting: wait for the database, refuse an old schema."""

import asyncio
from typing import Final

import asyncpg
import structlog

from common.database.migrate import SchemaError, check_schema
from common.database.pool import DatabaseAway, DatabaseRefuses, Pool
from common.pause import pause
from common.process import CannotStart
from common.telemetry.health import Health

#: Seconds between two looks whether the database is there.
_LOOK_AGAIN: Final = 1.0


async def wait_for_schema(pool: Pool, health: Health, stop: asyncio.Event) -> bool:
    """Return True once the database answers and its schema is recent enough, False when stopped before.

    Raises `CannotStart` when the schema is too old, or the URL or its credentials are wrong. Until then the process
    is not ready.
    """
    answered = False
    health.conditions["the database was reached"] = lambda: answered
    while not stop.is_set():
        try:
            await check_schema(pool)
        except SchemaError as fault:
            raise CannotStart(str(fault)) from None
        except DatabaseRefuses:
            raise CannotStart("DATABASE_URL is refused by Postgres: check its user, password and database.") from None
        except asyncpg.ClientConfigurationError:
            raise CannotStart(
                "DATABASE_URL is not valid: check its host, its port and what stands behind the ?."
            ) from None
        except DatabaseAway as error:
            structlog.get_logger().warning("database_away", error=str(error))
            await pause(_LOOK_AGAIN, stop)
        else:
            answered = True
            return True
    return False
