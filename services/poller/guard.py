"""The subscription guardian: one live subscription for our address, renewed long before it ends.

Only subscriptions recorded as ours are ever touched: another installation on the same app keeps its own.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral import subscription as subscriptions
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Forbidden, Missing, RingCentralError
from common.ringcentral.subscription import Subscription
from common.telemetry.metrics import SUBSCRIPTION_EXPIRES

#: Seconds that a subscription is made for: thirty days, so that ringvault may be away for a long holiday; the default
#: of seven is what people's webhooks die of (facts 9).
LIFETIME: Final = 30 * 24 * 3600
#: What a disabled filter lacks; RingCentral's pages also name ReadCompanyCallRecording (facts 1.2).
_PERMISSION: Final = "ReadRingSenseInsights"
#: Part of the lifetime that must be left; below it the subscription is renewed.
_RENEW_BELOW: Final = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """The subscription that there should be."""

    address: str
    token: str | None
    domains: tuple[str, ...]

    @property
    def token_digest(self) -> str | None:
        """Tells a changed token without keeping it."""
        return hashlib.sha256(self.token.encode()).hexdigest() if self.token else None


async def guard(client: RingCentral, pool: Pool, clock: Clock, wanted: Wanted) -> None:
    """One pass: keep the one that is good, make one when there is none, remove those of ours that are not wanted.

    The new one is made before the old one goes. May run at any time. Raises the client's errors.
    """
    rows = await pool.fetch(statements("subscriptions")["find"], client.account_id)
    good: asyncpg.Record | None = None
    superfluous: list[asyncpg.Record] = []
    for row in rows:
        if good is None and await _is_good(client, pool, clock, row, wanted):
            good = row
        else:
            superfluous.append(row)
    if good is None:
        await _create(client, pool, clock, wanted)
    for row in superfluous:
        await _delete(client, pool, row)


async def _is_good(client: RingCentral, pool: Pool, clock: Clock, row: asyncpg.Record, wanted: Wanted) -> bool:
    """Whether this one delivers to the wanted address for long enough; renews it when its end comes near."""
    known = row["credential"] in client.credentials
    if not known or row["address"] != wanted.address or row["verification_token_digest"] != wanted.token_digest:
        return False
    try:
        found = await subscriptions.get(client, row["subscription_id"], credential=row["credential"])
    except Missing:
        structlog.get_logger().warning("subscription_gone", subscription_id=row["subscription_id"])
        return False
    log = structlog.get_logger().bind(subscription_id=found.subscription_id)
    live, disabled = _domains(found.event_filters), _domains(found.disabled_filters)
    if found.status != "Active" or live | disabled != set(wanted.domains):
        log.error("subscription_not_live", status=found.status)
        return False
    if disabled:  # a new one would fare no better: a person has to grant the permission
        log.error("subscription_filter_disabled", domains=sorted(disabled), grant=_PERMISSION)
    left = (row["expires_at"] - clock.now()).total_seconds()
    if min(left, found.expires_in) < (row["expires_at"] - row["renewed_at"]).total_seconds() * _RENEW_BELOW:
        found = await subscriptions.extend(
            client, found.subscription_id, credential=row["credential"], domains=wanted.domains, lifetime=LIFETIME
        )
        await _record(client, pool, clock, found, row["credential"], wanted)
    return True


def _domains(filters: Iterable[str]) -> set[str]:
    return {part.split("/")[0] for name in filters for part in name.split("/domains/")[1:]}


async def _create(client: RingCentral, pool: Pool, clock: Clock, wanted: Wanted) -> None:
    """Make one with the first credential that is allowed all of it; else keep the first that was made at all."""
    kept: Mapping[str, str] | None = None
    refused: Forbidden | None = None
    for credential in client.credentials:
        try:
            made = await _create_with(client, credential, wanted)
        except Forbidden as error:
            refused = error
            continue
        await _record(client, pool, clock, made, credential, wanted)
        this = {"subscription_id": made.subscription_id, "credential": credential}
        allowed = not made.disabled_filters
        if kept is not None:
            await _delete(client, pool, kept if allowed else this)
        kept = this if allowed else kept or this
        if allowed:
            return
        structlog.get_logger().error("subscription_filter_disabled", filters=made.disabled_filters, grant=_PERMISSION)
    if kept is None and refused is not None:
        raise refused


async def _create_with(client: RingCentral, credential: str, wanted: Wanted) -> Subscription:
    return await subscriptions.create(
        client,
        credential=credential,
        address=wanted.address,
        token=wanted.token,
        domains=wanted.domains,
        lifetime=LIFETIME,
    )


async def _record(
    client: RingCentral, pool: Pool, clock: Clock, found: Subscription, credential: str, wanted: Wanted
) -> None:
    now = clock.now()
    expires_at = now + timedelta(seconds=found.expires_in)
    await pool.execute(
        statements("subscriptions")["record"],
        found.subscription_id,
        client.account_id,
        credential,
        wanted.address,
        wanted.token_digest,
        expires_at,
        now,
    )
    SUBSCRIPTION_EXPIRES.set(expires_at.timestamp())
    log = structlog.get_logger()
    log.info("subscription_recorded", subscription_id=found.subscription_id, seconds=found.expires_in)


async def _delete(client: RingCentral, pool: Pool, row: Mapping[str, Any] | asyncpg.Record) -> None:
    if client.knows(row["credential"]):
        try:
            await subscriptions.delete(client, row["subscription_id"], credential=row["credential"])
        except Missing:
            structlog.get_logger().debug("subscription_gone", subscription_id=row["subscription_id"])
        except RingCentralError as error:
            structlog.get_logger().warning("subscription_not_deleted", reason=str(error))
            return
    await pool.execute(statements("subscriptions")["forget"], row["subscription_id"])
    structlog.get_logger().info("subscription_deleted", subscription_id=row["subscription_id"])
