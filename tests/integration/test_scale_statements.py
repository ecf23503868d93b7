"""The scale benchmark on few rows: each statement still takes the values that it is given."""

import pytest

from benchmarks import scale
from common.database.migrate import migrate


async def test_each_measured_statement_runs_as_it_is(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await migrate(database_url)

    assert await scale._measure(database_url, [5000]) == 0

    assert "ledger" in capsys.readouterr().out
