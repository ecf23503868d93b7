"""Orders that change what the company already has: records, recordings, and events on their way."""

from dataclasses import replace
from random import Random
from typing import Any

from simulator.company import Call, Recording, Revision
from simulator.conversations import hold_conversation
from simulator.people import masked
from simulator.world import World
from simulator.wrinkles import delete_call, expire_audio, remove_recordings

Reply = dict[str, Any]


async def expire_recordings(world: World, order: Reply) -> Reply:
    """Retention takes the audio of ``recording_id`` (or all) now: 404 for ever.

    It stays listed, unless ``remove``: then the record is written again without its recordings.
    """
    id_, now = order.get("recording_id"), world.clock.now()
    chosen = [one for one in world.company.recordings.values() if id_ in {None, one.id} and not one.is_gone(now)]
    if id_ is not None and not chosen:
        raise ValueError("no such recording, or it is gone already")
    for recording in chosen:
        _expire(world, recording, now, remove=bool(order.get("remove")))
    return {"expired": [one.id for one in chosen]}


async def delete_calls(world: World, order: Reply) -> Reply:
    """The record ``id`` is deleted: shown to ISync and ``showDeleted`` requests only, as deleted."""
    call, shown = _shown(world, order)
    delete_call(world.company, call, _next_moment(world, shown))
    return {"deleted": call.id}


async def rewrite_calls(world: World, order: Reply) -> Reply:
    """The record ``id`` is written again: with ``result``, ``legs``, ``with_recording`` as given.

    ``mask`` true hides the other party's number, ``nulls`` true puts nulls where the specification forbids them.
    """
    order = dict(order)
    call, shown = _shown(world, order)
    mask, nulls = bool(order.pop("mask", False)), bool(order.pop("nulls", call.nulls))
    order.pop("id")
    if unknown := set(order) - {"result", "legs", "with_recording"}:
        raise ValueError(f"a record knows no {', '.join(sorted(unknown))}")
    call.other_number = masked(call.other_number) if mask else call.other_number
    call.nulls = nulls
    call.write_again(replace(shown, **order, at=_next_moment(world, shown)))
    return {"rewritten": call.id}


async def order_event_faults(world: World, order: Reply) -> Reply:
    """``kind`` goes wrong with the next ``times`` (1) events that are due."""
    world.announcements.order(order["kind"], int(order.get("times", 1)))
    return {"left": world.announcements.left()}


async def order_conversations(world: World, order: Reply) -> Reply:
    """``count`` (1) conversations of ``domain`` whose event comes now."""
    rng = Random(f"{order['domain']}/{len(world.company.conversations)}")
    now = world.clock.now()
    events = [hold_conversation(world.company, rng, order["domain"], now) for _ in range(int(order.get("count", 1)))]
    world.announcements.plan(events)
    return {"records": [event.recording.id for event in events]}


async def send_foreign_events(world: World, _order: Reply) -> Reply:
    """All events of the other account, now, to every address that is subscribed."""
    for event in world.neighbour.events:
        await world.delivery.announce_foreign(world.neighbour, event)
    return {"sent": len(world.neighbour.events), **world.delivery.foreign}


def _expire(world: World, recording: Recording, now: float, *, remove: bool) -> None:
    if not remove:
        return expire_audio(recording, now)
    (call,) = world.company.calls_by_recording[recording.id]
    shown = call.revision(now)
    return remove_recordings(world.company, call, _next_moment(world, shown) if shown else now)


def _shown(world: World, order: Reply) -> tuple[Call, Revision]:
    call = world.company.calls_by_id.get(str(order["id"]))
    revision = call.revision(world.clock.now()) if call else None
    if call is None or revision is None:
        raise ValueError("no such call, or it is not in the call log yet")
    return call, revision


def _next_moment(world: World, shown: Revision) -> float:
    """Now, and at least a millisecond after the record was written last: two revisions are never of the same time."""
    return round(max(world.clock.now(), shown.at + 0.001), 3)
