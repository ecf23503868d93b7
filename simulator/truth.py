"""What really happened in the company: what a copy of it must hold in the end."""

import asyncio
from typing import Any

from simulator.audio import sha256_of
from simulator.clock import written
from simulator.company import Call, InsightEvent, Recording, Revision
from simulator.insights import normalised
from simulator.records import listed_recordings
from simulator.world import World


async def truth(world: World) -> dict[str, Any]:
    """``finished``: all that was planned has happened, and every event was tried."""
    recordings = list(world.company.recordings.values())  # others may be ordered while these are read.
    unknown = [one for one in recordings if one.id not in world.digests]
    await asyncio.to_thread(_digest, world, unknown)
    now = world.clock.now()
    late = [event for event in world.company.events if event.at > now]
    by_record = world.company.events_by_recording
    return {
        "now": now,
        "account_id": world.company.account_id,
        "finished": now >= world.company.last_moment
        and not late
        and not world.schedule.busy(world.company.last_moment),
        "calls": len(world.company.calls),
        "visible_calls": sum(1 for call in world.company.calls if call.revision(now) and not _is_deleted(call, now)),
        "recordings": [_recording(world, recording, now) for recording in recordings],
        "events": [_event(event) for event in world.company.events],
        "insights": [_insights(record_id, events, now) for record_id, events in by_record.items()],
        "deleted_calls": [call.id for call in world.company.calls if _is_deleted(call, now)],
        "foreign": {
            "account_id": world.neighbour.account_id,
            "recordings": list(world.neighbour.recordings),
            "sessions": sorted({call.telephony_session_id for call in world.neighbour.calls}),
        },
        "extensions": [
            {"id": str(one.id), "number": one.number, "licensed": one.licensed} for one in world.company.extensions
        ],
    }


def _digest(world: World, recordings: list[Recording]) -> None:
    for recording in recordings:
        world.digests[recording.id] = sha256_of(recording.audio)


def _shown(call: Call, now: float) -> Revision | None:
    """What the call log shows of a call that is not deleted."""
    revision = call.revision(now)
    return revision if revision and not revision.deleted else None


def _is_deleted(call: Call, now: float) -> bool:
    revision = call.revision(now)
    return revision is not None and revision.deleted


def _recording(world: World, recording: Recording, now: float) -> dict[str, Any]:
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
        "obtainable": not recording.is_gone(now),
        "why_not": recording.gone_because if recording.is_gone(now) else "",
        "gone_at": None if recording.gone_at is None else written(recording.gone_at),
        "listed": any(recording in listed_recordings(call, shown) for call in calls if (shown := _shown(call, now))),
        "insight_kinds": sorted({normalised(kind) for event in events for kind in event.kinds}),
        "insights_delivered": bool(events) and all(event.delivered for event in events),
        "events": len(events),
    }


def _event(event: InsightEvent) -> dict[str, Any]:
    return {
        "uuid": event.uuid,
        "domain": event.recording.domain,
        "record_id": event.recording.id,
        "at": written(event.at),
        "kinds": list(event.kinds),
        "delivered": event.delivered,
        "tries": event.tries,
        "bodies": [one.sha256 for one in event.accepted],
        "lost": event.lost,
        "fault": event.fault,
    }


def _insights(record_id: str, events: list[InsightEvent], now: float) -> dict[str, Any]:
    recording, call = events[0].recording, events[0].call
    return {
        "domain": recording.domain,
        "record_id": record_id,
        "session_id": call.telephony_session_id,
        "extension_id": str(call.extension.id),
        "kinds": kinds_told(events, now),
    }


def kinds_told(events: list[InsightEvent], now: float) -> dict[str, dict[str, Any]]:
    """Of each kind, whether an event with it was delivered, and whether GET gives it by now.

    ``sha256`` is that of the newest value that was delivered, as canonical JSON; null when none was.
    """
    newest: dict[str, tuple[str, str]] = {}
    for one in (one for event in events for one in event.accepted):
        for kind, version in one.versions.items():
            newest[kind] = max(version, newest.get(kind, version))
    fetchable = {normalised(kind) for event in events if event.at <= now for kind in event.kinds}
    return {
        kind: {
            "delivered": kind in newest,
            "fetchable": kind in fetchable,
            "sha256": newest[kind][1] if kind in newest else None,
        }
        for kind in sorted({normalised(kind) for event in events for kind in event.kinds})
    }
