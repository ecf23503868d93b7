"""Calls, recordings and events that a test orders while the simulator runs."""

import asyncio
from dataclasses import replace
from typing import Any

from simulator.audio_wav import seconds_of_size
from simulator.call_plans import RING_SECONDS, CallPlan
from simulator.company import Call, Extension, InsightEvent
from simulator.world import World

Reply = dict[str, Any]

#: what an order of a call may say beside ``count``, ``extension_id`` and ``seconds``.
PLAN_FIELDS = {
    "recorded",
    "short_recording",
    "wav",
    "vbr",
    "recording_seconds",
    "second_recording",
    "transfer",
    "queue",
    "appears_after",
    "recording_after",
    "audio_after",
    "notes_after",
    "insights_after",
}


async def order_calls(world: World, order: Reply) -> Reply:
    """Makes ``count`` (1) calls that end now, each ``seconds`` (60) long; other fields as in ``CallPlan``.

    Every ``*_after`` is in business seconds from now: insights come after 300 unless ``insights_after`` is given (null:
    never); ``notes_after`` makes the first of two events.
    """
    order = dict(order)
    count, seconds = int(order.pop("count", 1)), float(order.pop("seconds", 60.0))
    extension = _extension(world, order.pop("extension_id", None))
    if unknown := set(order) - PLAN_FIELDS:
        raise ValueError(f"a call knows no {', '.join(sorted(unknown))}")
    made = []
    for _ in range(count):
        plan = CallPlan(
            **{"insights_after": 300.0, **order},
            extension=extension,
            started_at=round(world.clock.now() - seconds, 3),
            seconds=seconds,
        )
        made.append(_carry_out(world, plan))
    return {"calls": [_told(call) for calls in made for call in calls]}


async def order_recording(world: World, order: Reply) -> Reply:
    """A call with one wav recording of ``bytes``, without insights, that ended now."""
    size = int(order["bytes"])
    plan = CallPlan(
        extension=_extension(world, order.get("extension_id")),
        started_at=round(world.clock.now() - seconds_of_size(size) - RING_SECONDS, 3),
        seconds=0.0,
        bytes=size,
        appears_after=float(order.get("appears_after", 0)),
        audio_after=float(order.get("audio_after", 0)),
    )
    return {"calls": [_told(call) for call in _carry_out(world, plan)]}


async def resend_events(world: World, order: Reply) -> Reply:
    """Sends the events of ``recording_id`` (or all) again, now: ``copies`` (1) of each.

    With ``new_uuid`` every copy has its own; ``kinds`` reduces what the copies hold.
    """
    recording_id = order.get("recording_id")
    if recording_id is not None and recording_id not in world.company.recordings:
        raise ValueError("no such recording")
    chosen = [event for event in world.company.events if recording_id in {None, event.recording.id}]
    copies = [_copy(world, event, order) for event in chosen for _ in range(int(order.get("copies", 1)))]
    await asyncio.gather(*(world.delivery.announce(copy) for copy in copies))
    for event in chosen:
        event.delivered |= any(copy.delivered for copy in copies if copy.recording is event.recording)
    return {"sent": len(copies), "delivered": sum(copy.delivered for copy in copies)}


def _copy(world: World, event: InsightEvent, order: Reply) -> InsightEvent:
    uuid = world.planner.new_uuid() if order.get("new_uuid") else event.uuid
    kinds = tuple(kind for kind in event.kinds if kind in order.get("kinds", event.kinds))
    return replace(event, uuid=uuid, kinds=kinds, delivered=False, tries=0)


def _carry_out(world: World, plan: CallPlan) -> list[Call]:
    calls, events = world.planner.carry_out(plan)
    world.announcements.plan(events)
    return calls


def _extension(world: World, id_: object) -> Extension:
    for extension in world.company.extensions:
        if id_ is None or str(extension.id) == str(id_):
            return extension
    raise ValueError("no such extension")


def _told(call: Call) -> Reply:
    return {
        "id": call.id,
        "telephony_session_id": call.telephony_session_id,
        "extension_id": str(call.extension.id),
        "recordings": [recording.id for recording in call.recordings()],
    }
