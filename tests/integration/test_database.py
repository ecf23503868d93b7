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
