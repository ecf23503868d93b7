"""The subscription guardian: one live subscription for our address, renewed long before it ends.

Only subscriptions recorded as ours are ever touched: another installation on the same app keeps its own.
"""

from collections.abc import Sequence
from datetime import datetime

from common.ringcentral.errors import Forbidden
from common.telemetry.metrics import SUBSCRIPTION_EXPIRES
from services.poller.guard_duty import Duty
from services.poller.guard_judge import Judged, judge
from services.poller.guard_making import adopt, forget, make, recorded, remove
from services.poller.guard_mending import TOO_MANY
from services.poller.guard_outages import begin_disabled, begin_outage, end_outage


async def guard(duty: Duty) -> None:
    """One pass: keep the one that is good, make one when there is none, remove those of ours that are not wanted.

    The new one is made before the old one goes. May run at any time; a pass that ends in between is taken up by the
    next one. Raises the client's errors, `LeadershipLost`, and the database's.
    """
    await adopt(duty)
    ours = [await judge(duty, row) for row in await recorded(duty)]
    good = next((one for one in ours if one.good), None)
    if good is not None:
        # By its row: what this pass makes or renews, the next one tells.
        SUBSCRIPTION_EXPIRES.set(good.ends_at.timestamp())
        await _tell(duty, good.subscription_id, disabled=good.fault is not None, since=good.live_until)
    else:
        if ours and all(one.fault for one in ours):
            await begin_outage(duty, ours)
        await _make(duty, ours)
    for one in ours:
        if one is not good:
            await _remove(duty, one)


async def _make(duty: Duty, ours: Sequence[Judged]) -> None:
    try:
        made = await make(duty)
    except Forbidden as error:
        if error.code == TOO_MANY:  # make room, as far as it is ours: the next pass needs it
            for one in ours:
                if one.fault is not None:
                    await _remove(duty, one)
        raise
    await _tell(duty, made.subscription_id, disabled=bool(made.disabled_filters), since=duty.clock.now())


async def _tell(duty: Duty, subscription_id: str, *, disabled: bool, since: datetime) -> None:
    """Events come, or, although there is a subscription, none has come since then."""
    if disabled:
        await begin_disabled(duty, subscription_id, since)
    else:
        await end_outage(duty, subscription_id)


async def _remove(duty: Duty, one: Judged) -> None:
    """Nobody reaches one whose user has left: it is forgotten when it has ended by itself."""
    if one.credential is not None:
        await remove(duty, one.subscription_id, one.credential)
    elif one.ends_at <= duty.clock.now():
        await forget(duty, one.subscription_id)
