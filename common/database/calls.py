"""Rows of `calls`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from common.database.pool import Connection
from common.database.statements import statements


async def write(connection: Connection, account_id: str, calls: Sequence[Mapping[str, Any]], at: datetime) -> int:
    """Write call-log records, one per id, and return how many were new or newer. May run twice."""
    rows = await connection.fetch(statements("calls")["write"], account_id, list(calls), at)
    return len(rows)
