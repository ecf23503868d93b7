"""What really happened in the company: what a copy of it must hold in the end."""

import asyncio
from typing import Any

from simulator.audio import sha256_of
from simulator.clock import written
from simulator.company import InsightEvent, Recording
from simulator.insights import normalised
from simulator.world import World


async def truth(world: World) -> dict[str, Any]:
    """``finished``: all that was planned has happened, and every event was tried."""
    unknown = [one for one in world.company.recordings.values() if one.id not in world.digests]
    await asyncio.to_thread(_digest, world, unknown)
    now = world.clock.now()
    late = [event for event in world.company.events if event.at > now]
    return {
        "now": now,
        "account_id": world.company.account_id,
        "finished": now >= world.company.last_moment
        and not late
        and not world.schedule.busy(world.company.last_moment),
        "calls": len(world.company.calls),
        "visible_calls": sum(1 for call in world.company.calls if call.revision(now)),
        "recordings": [_recording(world, recording) for recording in world.company.recordings.values()],
        "events": [_event(event) for event in world.company.events],
        "extensions": [
            {"id": str(one.id), "number": one.number, "licensed": one.licensed} for one in world.company.extensions
        ],
    }


def _digest(world: World, recordings: list[Recording]) -> None:
    for recording in recordings:
        world.digests[recording.id] = sha256_of(recording.audio)


def _recording(world: World, recording: Recording) -> dict[str, Any]:
    events = world.company.events_by_recording.get(recording.id, [])
    calls = world.company.calls_by_recording[recording.id]
    return {
        "id": recording.id,
        "call_log_ids": [call.id for call in calls],
        "telephony_session_id": calls[0].telephony_session_id,
        "extension_id": str(recording.extension.id),
        "type": recording.mode,
        "content_type": recording.audio.content_type,
        "bytes": recording.audio.size,
        "sha256": world.digests[recording.id],
        "duration_ms": recording.audio.duration_ms,
        "listed_at": written(calls[0].revisions[-1].at),
        "ready_at": written(recording.ready_at),
        "insight_kinds": sorted({normalised(kind) for event in events for kind in event.kinds}),
        "insights_delivered": bool(events) and all(event.delivered for event in events),
        "events": len(events),
    }


def _event(event: InsightEvent) -> dict[str, Any]:
    return {
        "uuid": event.uuid,
        "record_id": event.recording.id,
        "at": written(event.at),
        "kinds": list(event.kinds),
        "delivered": event.delivered,
        "tries": event.tries,
    }
