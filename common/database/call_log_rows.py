"""Call-log records → rows of `calls` and of `recordings`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from common.database import calls as call_rows
from common.database.pool import Connection
from common.database.recordings import Said, merge_sayings
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import Call, digest_of_call

#: The domain whose calls the call log lists.
DOMAIN: Final = "pbx"


async def write_calls(
    connection: Connection, account_id: str, calls: Sequence[Call], now: datetime, *, priority: Priority
) -> None:
    """Write records and merge what they say of recordings, inside the caller's transaction. May run twice.

    `priority` is that of fetching audio which these records are the first to tell of.
    """
    said = [Said((DOMAIN, recording), saying) for call in calls for recording, saying in call.recordings.items()]
    await call_rows.write(connection, account_id, [call_rows.row_of(call) for call in _latest(calls)], now)
    await merge_sayings(connection, account_id, said, now, priority=priority)


def _latest(calls: Sequence[Call]) -> list[Call]:
    """One wording per record: a page may hold several."""
    return list({call.call_log_id: call for call in sorted(calls, key=_version)}.values())


def _version(call: Call) -> tuple[float, str]:
    return call.modified_at.timestamp() if call.modified_at else 0.0, digest_of_call(call)
