"""The subscription: RingCentral's side of our webhook (facts 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from common.plain_json import list_of, map_of, text_of, time_of, whole_number_of
from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import SourceFailed

_PATH: Final = "/restapi/v1.0/subscription"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What RingCentral says of a subscription. `status` is an open set: `Active` alone delivers (facts 2.5)."""

    subscription_id: str
    status: str
    #: The specification requires the time of the end alone; the seconds that are left need no equal clocks.
    expires_in: int | None
    expires_at: datetime | None
    address: str | None
    event_filters: tuple[str, ...]
    disabled_filters: tuple[str, ...]
    blacklisted_at: datetime | None

    def seconds_left(self, now: datetime) -> float | None:
        """Until it ends, by RingCentral's word; None when it does not say."""
        if self.expires_in is not None:
            return self.expires_in
        return max(0.0, (self.expires_at - now).total_seconds()) if self.expires_at is not None else None


def filters_for(domains: Sequence[str]) -> list[str]:
    """The event filters for the insights of these domains."""
    return [f"/ai/ringsense/v1/public/accounts/~/domains/{domain}/insights" for domain in domains]


async def create(
    client: RingCentral, *, credential: str, address: str, token: str | None, domains: Sequence[str], lifetime: int
) -> Subscription:
    """Create a subscription of so many seconds; RingCentral asks the address for a handshake meanwhile."""
    mode = {"transportType": "WebHook", "address": address} | ({"verificationToken": token} if token else {})
    body = {"eventFilters": filters_for(domains), "deliveryMode": mode, "expiresIn": lifetime}
    return await _ask(client, "POST", "", Group.MEDIUM, credential, body)


async def list_all(client: RingCentral, *, credential: str) -> list[Subscription]:
    """Those of the credential's user and the app, whoever made them; there are no pages (facts 3)."""
    body = await client.json(Ask("GET", _PATH, Group.LIGHT, Priority.POLL, credential=credential))
    return [read(map_of(record)) for record in list_of(body.get("records"))]


async def get(client: RingCentral, subscription_id: str, *, credential: str) -> Subscription:
    """Ask for one; raises `Missing` when it is gone."""
    return await _ask(client, "GET", subscription_id, Group.LIGHT, credential)


async def extend(
    client: RingCentral, subscription_id: str, *, credential: str, domains: Sequence[str], lifetime: int
) -> Subscription:
    """Renew by an update that says the filters and the lifetime: what an empty one does is documented in two ways."""
    body = {"eventFilters": filters_for(domains), "expiresIn": lifetime}
    return await _ask(client, "PUT", subscription_id, Group.MEDIUM, credential, body)


async def delete(client: RingCentral, subscription_id: str, *, credential: str) -> None:
    """Delete one; raises `Missing` when it is gone already."""
    path = f"{_PATH}/{quote(subscription_id, safe='')}"
    await client.json(Ask("DELETE", path, Group.MEDIUM, Priority.POLL, credential=credential))


async def _ask(
    client: RingCentral, method: str, which: str, group: Group, credential: str, body: Mapping[str, Any] | None = None
) -> Subscription:
    path = f"{_PATH}/{quote(which, safe='')}" if which else _PATH
    return read(await client.json(Ask(method, path, group, Priority.POLL, json=body, credential=credential)))


def read(body: Mapping[str, Any]) -> Subscription:
    """A subscription as it was answered; raises `SourceFailed` when it has no id."""
    subscription_id = text_of(body.get("id"))
    if subscription_id is None:
        raise SourceFailed("the answer is not a subscription")
    disabled = [text_of(map_of(item).get("filter")) for item in list_of(body.get("disabledFilters"))]
    return Subscription(
        subscription_id=subscription_id,
        status=text_of(body.get("status")) or "unknown",
        expires_in=whole_number_of(body.get("expiresIn")),
        expires_at=time_of(body.get("expirationTime")),
        address=text_of(map_of(body.get("deliveryMode")).get("address")),
        event_filters=tuple(str(item) for item in list_of(body.get("eventFilters"))),
        disabled_filters=tuple(item for item in disabled if item),
        blacklisted_at=time_of(map_of(body.get("blacklistedData")).get("blacklistedAt")),
    )
