"""Migrations: numbered plain SQL, forward only, each compatible with the code already running, applied exactly once."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

import asyncpg

from common.database.pool import Pool, outage

#: Any number that nobody else uses: `pg_advisory_xact_lock` lets one `migrate` in at a time, behind poolers as well.
_LOCK: Final = 7_246_582_258
#: How long a migration waits for a table: all others wait behind it meanwhile, and our services give up after 30 s.
_LOCK_TIMEOUT: Final = "10s"
#: Minutes that one may take unless told otherwise: some million rows are written anew in ten, and whoever waits for
#: more should know of it.
MINUTES: Final = 10.0
#: Why a migration is given up.
_GIVEN_UP: Final = {
    asyncpg.LockNotAvailableError: f"somebody else held a table that it needs for more than {_LOCK_TIMEOUT}",
    asyncpg.DeadlockDetectedError: "it and somebody else held what the other needed",
    asyncpg.QueryCanceledError: "it was cancelled, or took longer than `--minutes` allows",
}

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class SchemaError(Exception):
    """The schema is not what this version needs; the text is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the folder `migrations`."""

    version: int
    name: str
    script: str

    @property
    def sha256(self) -> str:
        """Of the script, so that a migration edited after its release is noticed."""
        return hashlib.sha256(self.script.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = resources.files("common.database").joinpath("migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in files
    ]


async def migrate(url: str, *, minutes: float = MINUTES) -> list[str]:
    """Bring the schema up to date, each migration within so many minutes, and return the names of what was applied.

    May be run by many at once and again: each migration is applied once, whole or not at all. Raises `SchemaError` when
    a migration that was applied differs from ours, or one is given up, `DatabaseAway` when a pooler answers to the new
    connection with an internal error, and asyncpg's other errors as they are.
    """
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0, timeout=30)
    except asyncpg.InternalServerError as error:
        raise outage(error) from error
    try:
        return [migration.name for migration in migrations() if await _apply(connection, migration, minutes)]
    finally:
        await connection.close()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration, minutes: float) -> bool:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_LEDGER)
        known = await connection.fetchval("SELECT sha256 FROM schema_migrations WHERE version = $1", migration.version)
        if known is not None:
            if known != migration.sha256:
                raise SchemaError(
                    f"migration {migration.name} was applied in another wording: run the ringvault that applied it."
                )
            return False
        await _run(connection, migration, minutes)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.sha256,
        )
    return True


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration, minutes: float) -> None:
    """Within bounded times; raises `SchemaError` past them."""
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await connection.execute(f"SET LOCAL statement_timeout = '{round(minutes * 60_000)}ms'")
    try:
        await connection.execute(migration.script)
    except tuple(_GIVEN_UP) as error:
        why = next(sentence for kind, sentence in _GIVEN_UP.items() if isinstance(error, kind))
        raise SchemaError(
            f"migration {migration.name} was given up, {why}: nothing of it was done, run `ringvault migrate` again."
        ) from error


async def check_schema(pool: Pool) -> None:
    """Raise `SchemaError` when the schema is older than this code: the process must not start on it."""
    needed = max(migration.version for migration in migrations())
    try:
        found = await pool.fetchval("SELECT max(version) FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        found = None
    if found is None or found < needed:
        raise SchemaError(f"the schema is at {found or 'nothing'}, this code needs {needed}: run `ringvault migrate`.")
