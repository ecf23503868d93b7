"""Commands that need the database: what a person must mend is one sentence."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from common.database.migrate import SchemaError, check_schema
from common.database.pool import AWAY_ERRORS, REFUSED, DatabaseAway, DatabaseRefuses, Pool, open_pool
from common.settings import DatabaseSettings, SettingsError, read_settings

S = TypeVar("S", bound=DatabaseSettings)
T = TypeVar("T")


def on_database(kind: type[S], work: Callable[[S, Pool], Awaitable[T]]) -> T:
    """Run a command with its settings on a database that has the schema of this version, and return its result.

    Raises `SettingsError` for what a person must mend.
    """
    # What the pool logs on its way is for services; here one sentence says what is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = read_settings(kind, os.environ)

    async def run() -> T:
        async with open_pool(settings.database_url.get_secret_value(), "command") as pool:
            await check_schema(pool)
            return await work(settings, pool)

    try:
        return asyncio.run(run())
    except SchemaError as fault:
        raise SettingsError(str(fault)) from None
    except BrokenPipeError:  # whoever read what we say has gone.
        raise
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise SettingsError(sentence) from None


def sentence_of(error: Exception) -> str | None:
    """What a person must mend, when it is that; none for a defect of ours."""
    away = str(error) if isinstance(error, DatabaseAway) else type(error).__name__
    told: list[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = [
        ((DatabaseRefuses, *REFUSED), "DATABASE_URL is refused by Postgres: check its user, password and database."),
        (asyncpg.ClientConfigurationError, "DATABASE_URL is not valid: check what stands behind the ?."),
        (
            asyncpg.InsufficientPrivilegeError,
            "the user of DATABASE_URL may not do that: it must own the tables, and may CREATE in the schema public.",
        ),
        (asyncpg.LockNotAvailableError, "a table is locked by somebody else for too long: try again."),
        (
            (DatabaseAway, *AWAY_ERRORS),
            f"DATABASE_URL names a Postgres that cannot be reached, or used now ({away}): check host, port, its log.",
        ),
    ]
    return next((sentence for kind, sentence in told if isinstance(error, kind)), None)
