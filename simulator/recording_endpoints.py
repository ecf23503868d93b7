"""``/recording/{id}`` and its content, also in ranges (facts 5)."""

import re
from functools import partial

from simulator.answers import Answer, json_answer
from simulator.audio import Audio
from simulator.call_log import one_of, renderer_of
from simulator.company import Recording
from simulator.errors import Refusal, not_found
from simulator.world import Incoming, World

#: one range; several at once are answered with the whole, as HTTP allows.
ONE_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


async def get_recording(world: World, incoming: Incoming) -> Answer:
    """Metadata exists from the end of the call until the recording is gone."""
    recording = _found(world, incoming)
    now = world.clock.now()
    if recording.ended_at > now or recording.is_gone(now):
        raise not_found("recordingId")
    return json_answer(renderer_of(world).metadata(recording))


async def get_content(world: World, incoming: Incoming) -> Answer:
    """The audio, or 404 CMN-102 while it is not ready or when it is gone. No checksum, and an ETag only as an option:
    none is documented.
    """
    recording = _found(world, incoming)
    now = world.clock.now()
    if recording.ready_at > now or recording.is_gone(now):
        recording.asked_when_gone |= recording.is_gone(now)
        raise not_found("recordingId")
    audio, etag = recording.audio, _etag(world, recording)
    headers = {"Content-Type": audio.content_type, **_disposition(incoming)}
    headers |= {"ETag": etag} if etag else {}
    headers["Accept-Ranges"] = "none" if world.options.audio_ranges == "no" else "bytes"
    wanted = _range(incoming.request.headers.get("Range", ""), audio) if _may_be_part(world, incoming, etag) else None
    if wanted is None:
        return Answer(200, headers, audio.size, partial(audio.chunks, 0, audio.size))
    first, last = wanted
    headers["Content-Range"] = f"bytes {first}-{last}/{audio.size}"
    return Answer(206, headers, last + 1 - first, partial(audio.chunks, first, last + 1))


def _etag(world: World, recording: Recording) -> str:
    """As the option says: the same bytes have the same one."""
    tag = f'"{recording.id}-{recording.audio.size}"'
    return {"none": "", "weak": f"W/{tag}", "strong": tag}[world.options.audio_etag]


def _may_be_part(world: World, incoming: Incoming, etag: str) -> bool:
    """Whether a range is answered as one: a condition that does not hold, or holds only weakly, asks for the whole."""
    condition = incoming.request.headers.get("If-Range")
    return world.options.audio_ranges == "yes" and (
        condition is None or (condition == etag and not etag.startswith("W/"))
    )


def _found(world: World, incoming: Incoming) -> Recording:
    recording = world.company.recordings.get(incoming.path("recording_id"))
    if recording is None:
        raise not_found("recordingId")
    return recording


def _range(header: str, audio: Audio) -> tuple[int, int] | None:
    """First and last byte asked for; None for the whole. Raises Refusal 416 CMN-107."""
    found = ONE_RANGE.fullmatch(header.strip())
    if not found or not (found["first"] or found["last"]):
        return None
    if found["first"]:
        first, last = int(found["first"]), min(int(found["last"] or audio.size - 1), audio.size - 1)
        if found["last"] and int(found["last"]) < first:
            return None  # a nonsensical range is ignored (RFC 9110).
    else:
        first, last = max(0, audio.size - int(found["last"])), audio.size - 1
    if first > last:
        headers = {"Content-Range": f"bytes */{audio.size}"}
        raise Refusal(416, "CMN-107", "Requested range is not satisfiable", headers=headers)
    return first, last


def _disposition(incoming: Incoming) -> dict[str, str]:
    kind = one_of(incoming, "contentDisposition", ("", "Inline", "Attachment"))
    name = re.sub(r"[^A-Za-z0-9 ._-]", "_", incoming.query("contentDispositionFilename") or "")
    if not kind:
        return {}
    return {"Content-Disposition": kind.lower() + (f'; filename="{name}"' if name else "")}
