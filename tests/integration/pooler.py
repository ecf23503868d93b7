"""Tests that also run through a real pooler in transaction mode."""

import pytest

#: Straight on Postgres, and through PgBouncer.
BOTH_WAYS = pytest.mark.parametrize("database_url", ["direct", "pgbouncer"], indirect=True)
#: Through PgBouncer alone.
POOLED = pytest.mark.parametrize("database_url", ["pgbouncer"], indirect=True)
