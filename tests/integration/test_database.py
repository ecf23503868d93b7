"""The schema, its migrations and its statements on a real Postgres."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from common.database import migrate as migrating
from common.database.migrate import SchemaError, check_schema, migrate, migrations
from common.database.pool import open_pool
from common.database.statements import statements, tables
from tests.integration.pooler import BOTH_WAYS


@BOTH_WAYS
async def test_ten_at_once_apply_each_migration_once(database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(database_url) for _ in range(10)))

    assert sorted(name for names in applied for name in names) == [migration.name for migration in migrations()]


async def test_an_older_schema_is_refused_with_what_to_do(database_url: str) -> None:
    async with open_pool(database_url, "test") as pool:
        with pytest.raises(SchemaError, match="run `ringvault migrate`"):
            await check_schema(pool)
        await migrate(database_url)
        await check_schema(pool)


async def test_a_migration_that_was_applied_in_another_wording_stops_everything(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database_url)
    edited = [migrating.Migration(one.version, one.name, one.script + "\n-- edited") for one in migrations()]
    monkeypatch.setattr(migrating, "migrations", lambda: edited)

    with pytest.raises(SchemaError, match="was applied in another wording"):
        await migrate(database_url)


async def test_a_migration_that_gets_no_lock_is_given_up_with_a_sentence_and_goes_on_the_next_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "_LOCK_TIMEOUT", "100ms")
    every = [one.name for one in migrations()]
    first, second, third, *_ = migrations()
    with monkeypatch.context() as before:
        before.setattr(migrating, "migrations", lambda: [first])
        await migrate(database_url)
    reader = await asyncpg.connect(database_url)
    try:
        async with reader.transaction():
            await reader.execute("SELECT count(*) FROM recordings")  # which holds it until the end of the transaction.
            with pytest.raises(SchemaError, match=f"migration {third.name} was given up, somebody else held a table"):
                await migrate(database_url)
            assert await names_of(reader) == [first.name, second.name]
            assert await reader.fetchval("SELECT to_regclass('journal_archives')") is None

        assert await migrate(database_url) == every[2:]
        assert await names_of(reader) == every
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("script", "minutes", "why"),
    [
        ("SELECT pg_sleep(60)", 0.002, "it was cancelled, or took longer than"),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", 10.0, "it and somebody else held what the other needed"),
    ],
)
async def test_a_migration_that_takes_too_long_or_meets_a_deadlock_is_given_up_with_a_sentence(
    database_url: str, monkeypatch: pytest.MonkeyPatch, script: str, minutes: float, why: str
) -> None:
    planted = migrating.Migration(1, "0001_planted", f"CREATE TABLE planted (); {script}")
    monkeypatch.setattr(migrating, "migrations", lambda: [planted])

    with pytest.raises(SchemaError, match=f"migration 0001_planted was given up, {why}"):
        await migrate(database_url, minutes=minutes)

    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('planted')") is None
    finally:
        await connection.close()


async def names_of(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    return [name for (name,) in await connection.fetch("SELECT name FROM schema_migrations ORDER BY version")]


async def test_every_statement_fits_the_schema(database_url: str) -> None:
    await migrate(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        found = [(table, name, sql) for table in tables() for name, sql in statements(table).items()]
        for _, _, sql in found:
            await connection.prepare(sql)
    finally:
        await connection.close()

    assert len(found) > 40


def test_every_statement_is_described() -> None:
    for table in tables():
        for name, sql in statements(table).items():
            assert sql.startswith("-- "), f"{table}.{name} has no description"


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(Path(migration.name).stem == migration.name for migration in migrations())
