"""A recording's metadata, which tells its length; a heavy request, as its content is (facts 5)."""

from urllib.parse import quote

from common.plain_json import whole_number_of
from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import Missing, Rejected


async def recording_seconds(client: RingCentral, source_record_id: str, priority: Priority) -> int | None:
    """The length in whole seconds, or None when RingCentral tells none; raises the client's other errors."""
    path = f"/restapi/v1.0/account/{client.account_id}/recording/{quote(source_record_id, safe='')}"
    try:
        body = await client.json(Ask("GET", path, Group.HEAVY, priority))
    except (Missing, Rejected):
        return None
    return whole_number_of(body.get("duration"))
