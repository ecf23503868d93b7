"""Rows of `calls`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from common.database.pool import Connection
from common.database.statements import statements
from common.plain_json import map_of
from common.ringcentral.call_log import Call


def row_of(call: Call) -> dict[str, Any]:
    """A call-log record as a row, its times as text."""
    row = asdict(call)
    del row["recordings"]
    times = {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}
    return row | times | {"has_recording": bool(call.recordings), "entry": map_of(call.entry)}


async def write(connection: Connection, account_id: str, calls: Sequence[Mapping[str, Any]], at: datetime) -> int:
    """Write call-log records, one per id, and return how many were new or newer. May run twice."""
    rows = await connection.fetch(statements("calls")["write"], account_id, list(calls), at)
    return len(rows)
