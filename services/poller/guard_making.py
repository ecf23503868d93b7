"""Making, recording, adopting and removing subscriptions of ours.

An intent is written before RingCentral is asked to make one, with the ids of those that are at our address already.
Whatever comes between the making and the recording, a crash or an answer that is lost, the next pass finds the one that
was made and records it as ours, so that it is kept or removed like any other of ours.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from common.database.statements import statements
from common.ringcentral import subscription as subscriptions
from common.ringcentral.errors import Forbidden, Missing, RingCentralError, SourceFailed
from common.ringcentral.subscription import Subscription
from services.poller.guard_duty import Duty
from services.poller.guard_mending import PERMISSION, mending_of

#: Seconds that a subscription is made for: thirty days, so that ringvault may be away for a long holiday; the default
#: of seven is what people's webhooks die of (facts 9).
LIFETIME: Final = 30 * 24 * 3600
#: How long an intent whose end is not known is looked after: a request is given up after half a minute, and RingCentral
#: waits three seconds for the handshake, so that what has not appeared then never will.
_INTENT_HOLDS: Final = timedelta(minutes=10)


async def make(duty: Duty) -> Subscription:
    """Make one with the first credential that is allowed all of it; else keep the first that was made at all.

    Raises the client's errors when none was made.
    """
    kept: tuple[str, Subscription] | None = None
    refused: Forbidden | None = None
    for credential in duty.client.credentials:
        try:
            made = await _make_with(duty, credential)
        except Forbidden as error:
            refused = error
            continue
        if made.disabled_filters:
            log = structlog.get_logger()
            log.error("subscription_filter_disabled", filters=made.disabled_filters, grant=PERMISSION)
        if kept is None:
            kept = credential, made
        elif made.disabled_filters:
            await remove(duty, made.subscription_id, credential)
        else:
            await remove(duty, kept[1].subscription_id, kept[0])
            kept = credential, made
        if not made.disabled_filters:
            break
    if kept is None:
        raise refused or SourceFailed("no credential could make a subscription")
    return kept[1]


async def _make_with(duty: Duty, credential: str) -> Subscription:
    """Intent, making, recording; what RingCentral refuses was not made, and what it does not answer may have been."""
    wanted, sql = duty.wanted, statements("subscription_intents")
    there = [one.subscription_id for one in await _at_address(duty, credential, wanted.address)]
    intent, begun_at = uuid.uuid4(), duty.clock.now()
    values = (intent, duty.client.account_id, credential, wanted.address, wanted.token_digest, there, begun_at)
    async with duty.pool.transaction() as connection:
        await duty.leadership.prove(connection)
        await connection.execute(sql["begin"], *values)
    try:
        made = await subscriptions.create(
            duty.client,
            credential=credential,
            address=wanted.address,
            token=wanted.token,
            domains=wanted.domains,
            lifetime=LIFETIME,
        )
    except SourceFailed:
        raise
    except RingCentralError as error:
        await duty.pool.execute(sql["forget"], intent)
        if mending := mending_of(error):
            structlog.get_logger().error("subscription_refused", code=error.code, mend=mending)
        raise
    await record(duty, made, credential)
    await duty.pool.execute(sql["forget"], intent)
    return made


async def _at_address(duty: Duty, credential: str, address: str) -> list[Subscription]:
    found = await subscriptions.list_all(duty.client, credential=credential)
    return [one for one in found if one.address == address]


async def record(duty: Duty, found: Subscription, credential: str, intent: asyncpg.Record | None = None) -> None:
    """Record one as ours, with its end; with the address and token of the intent by which it was found."""
    now = duty.clock.now()
    told = found.seconds_left(now)
    seconds = LIFETIME if told is None else told  # what we asked for
    expires_at = now + timedelta(seconds=seconds)
    address = intent["address"] if intent else duty.wanted.address
    digest = intent["verification_token_digest"] if intent else duty.wanted.token_digest
    values = (found.subscription_id, duty.client.account_id, credential, address, digest, expires_at, now)
    async with duty.pool.transaction() as connection:
        await duty.leadership.prove(connection)
        await connection.execute(statements("subscriptions")["record"], *values)
    log = structlog.get_logger()
    log.info("subscription_recorded", subscription_id=found.subscription_id, seconds=round(seconds))


async def adopt(duty: Duty) -> None:
    """Record as ours what was made without being recorded; what was there before, or is elsewhere, is not ours."""
    sql = statements("subscription_intents")
    intents = await duty.pool.fetch(sql["find"], duty.client.account_id)
    for intent in intents:
        for credential in duty.candidates(intent["credential"]):
            ours = {row["subscription_id"] for row in await recorded(duty)}
            try:
                there = await _at_address(duty, credential, intent["address"])
            except Forbidden as error:
                structlog.get_logger().error("subscription_not_seen", reason=str(error))
                continue
            for stray in there:
                if stray.subscription_id not in ours and stray.subscription_id not in intent["already_there"]:
                    await record(duty, stray, credential, intent)
                    structlog.get_logger().warning("subscription_adopted", subscription_id=stray.subscription_id)
        if duty.clock.now() - intent["begun_at"] > _INTENT_HOLDS:
            await duty.pool.execute(sql["forget"], intent["intent_id"])


async def recorded(duty: Duty) -> Sequence[asyncpg.Record]:
    """The rows of ours."""
    return await duty.pool.fetch(statements("subscriptions")["find"], duty.client.account_id)


async def remove(duty: Duty, subscription_id: str, credential: str) -> None:
    """Delete one of ours, and forget it when it is gone; one that cannot be deleted now is left to the next pass."""
    log = structlog.get_logger().bind(subscription_id=subscription_id)
    try:
        await subscriptions.delete(duty.client, subscription_id, credential=credential)
    except Missing:
        log.debug("subscription_gone")
    except RingCentralError as error:
        log.warning("subscription_not_deleted", reason=str(error))
        return
    await forget(duty, subscription_id)
    log.info("subscription_deleted")


async def forget(duty: Duty, subscription_id: str) -> None:
    """One of ours is gone."""
    await duty.pool.execute(statements("subscriptions")["forget"], subscription_id)
