"""Judging a subscription of ours: does it deliver, is it the wanted one; renewing it long before it ends."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.database.statements import statements
from common.ringcentral import subscription as subscriptions
from common.ringcentral.errors import Forbidden, Missing, Rejected
from common.ringcentral.subscription import Subscription
from services.poller.guard_duty import Duty
from services.poller.guard_making import LIFETIME, record

#: Part of the lifetime that must be left; below it the subscription is renewed.
_RENEW_BELOW: Final = 0.5
#: Part of the lifetime below which another one takes its place: renewing it must have failed for two weeks.
_REPLACE_BELOW: Final = 0.05
#: How long deliveries failed at least before RingCentral blacklisted: their events are lost as well (facts 2.4).
_FAILED_BEFORE: Final = timedelta(minutes=10)


class Fault(enum.StrEnum):
    """Why no event comes; the reasons of `subscription_outages`."""

    GONE = "gone"
    BLACKLISTED = "blacklisted"
    INACTIVE = "inactive"
    SILENT = "silent"
    FILTERS_DISABLED = "filters_disabled"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a look at one of ours has shown."""

    subscription_id: str
    #: Who reaches it; None when nobody does: it may live, or be gone.
    credential: str | None
    #: Why it delivers nothing; None when it delivers, or nobody can tell.
    fault: Fault | None
    #: It is the wanted one.
    fits: bool
    #: The last moment at which it delivered for certain.
    live_until: datetime
    ends_at: datetime

    @property
    def good(self) -> bool:
        """Nothing better could be made: disabled filters need a person."""
        return self.fits and self.fault in {None, Fault.FILTERS_DISABLED}


async def judge(duty: Duty, row: asyncpg.Record) -> Judged:
    """Look at one of ours; the wanted one is renewed when its end comes near. Raises the client's errors."""
    credential, found = await _look(duty, row)
    fault = _fault(row, credential, found)
    fits = found is not None and _fits(duty, row, found)
    if found is not None and credential is not None and fits and fault is None:
        fault = await _keep_up(duty, row, credential, found)
    if fault is not None:
        log = structlog.get_logger().bind(subscription_id=row["subscription_id"])
        log.error("subscription_not_live", reason=fault.value, status=found.status if found else None)
    return Judged(
        subscription_id=row["subscription_id"],
        credential=credential,
        fault=fault,
        fits=fits,
        live_until=await _live_until(duty, row, fault, found),
        ends_at=row["expires_at"],
    )


async def _look(duty: Duty, row: asyncpg.Record) -> tuple[str | None, Subscription | None]:
    """Who reaches it, and what RingCentral says of it: nothing when it is gone; nobody when that cannot be told."""
    candidates, refused = duty.candidates(row["credential"]), False
    for credential in candidates:
        try:
            return credential, await subscriptions.get(duty.client, row["subscription_id"], credential=credential)
        except Missing:
            continue
        except Forbidden as error:  # its user has lost the permission: another one may make the next
            structlog.get_logger().error("subscription_not_seen", reason=str(error))
            refused = True
    return (row["credential"] if row["credential"] in candidates and not refused else None), None


def _fault(row: asyncpg.Record, credential: str | None, found: Subscription | None) -> Fault | None:
    if credential is None:
        return None
    if found is None:
        return Fault.GONE
    if found.status != "Active":
        return Fault.BLACKLISTED if found.status == "Blacklisted" else Fault.INACTIVE
    return Fault.SILENT if row["silent_since"] is not None else None


def _fits(duty: Duty, row: asyncpg.Record, found: Subscription) -> bool:
    wanted = duty.wanted
    if row["address"] != wanted.address or row["verification_token_digest"] != wanted.token_digest:
        return False
    if _part_left(duty, row, found) < _REPLACE_BELOW:
        return False
    return _domains((*found.event_filters, *found.disabled_filters)) == set(wanted.domains)


def _part_left(duty: Duty, row: asyncpg.Record, found: Subscription) -> float:
    """The part of its lifetime that is left, by our record or by RingCentral's word, the lesser if both tell."""
    expires_at: datetime = row["expires_at"]
    renewed_at: datetime = row["renewed_at"]
    now, lifetime = duty.clock.now(), (expires_at - renewed_at).total_seconds()
    recorded, told = (expires_at - now).total_seconds(), found.seconds_left(now)
    left = recorded if told is None else min(recorded, told)
    return left / lifetime if lifetime > 0 else 0.0  # it was at its end when it was recorded


def _domains(filters: Iterable[str]) -> set[str]:
    return {part.split("/")[0] for name in filters for part in name.split("/domains/")[1:]}


async def _keep_up(duty: Duty, row: asyncpg.Record, credential: str, found: Subscription) -> Fault | None:
    """Renew it when its end comes near; what was disabled is asked for again, in case it was granted meanwhile."""
    if _part_left(duty, row, found) < _RENEW_BELOW or found.disabled_filters:
        try:
            found = await subscriptions.extend(
                duty.client,
                found.subscription_id,
                credential=credential,
                domains=duty.wanted.domains,
                lifetime=LIFETIME,
            )
        except Missing:
            return Fault.GONE
        except (Forbidden, Rejected) as error:  # it goes on as it is, until another one takes its place
            structlog.get_logger().error("subscription_not_renewed", reason=str(error))
        else:
            await record(duty, found, credential)
    return Fault.FILTERS_DISABLED if found.disabled_filters else None


async def _live_until(duty: Duty, row: asyncpg.Record, fault: Fault | None, found: Subscription | None) -> datetime:
    seen: datetime = row["seen_live_at"] or row["renewed_at"]
    if fault is Fault.SILENT:
        silent_since: datetime = row["silent_since"]
        return silent_since
    if fault is None or fault is Fault.FILTERS_DISABLED:
        return seen
    last_event: datetime = await duty.pool.fetchval(statements("subscriptions")["last_event"], row["subscription_id"])
    if fault is Fault.BLACKLISTED and found is not None and found.blacklisted_at is not None:
        # It failed from the first event on that was not answered, and few events may come: the last one is certain.
        return min(seen, found.blacklisted_at - _FAILED_BEFORE, last_event)
    return max(seen, last_event)  # the poller may have been away while events came.
