"""Conversations of other domains than ``pbx``: in no call log, and no audio to fetch (facts 1.2 to 1.4)."""

import uuid
from collections.abc import Callable
from random import Random

from simulator.audio_mp3 import mp3_of_length
from simulator.company import Call, Company, InsightEvent, Recording
from simulator.insights import draw_kinds
from simulator.people import draw_name, draw_number

#: business seconds that such a conversation lasts.
SECONDS = 600.0

Ids = tuple[str, str]


def _video_ids(rng: Random) -> Ids:
    """Video: record and session are the same, a UUID and the node it was held on."""
    id_ = f"{_uuid(rng)}!us-{rng.randrange(10):02d}@{rng.randrange(10**6)}"
    return id_, id_


def _contact_centre_ids(rng: Random) -> Ids:
    return f"p-v-{rng.getrandbits(64):016x}", f"s-v-{rng.getrandbits(64):016x}"


def _teams_ids(rng: Random) -> Ids:
    """Undocumented: UUIDs."""
    return _uuid(rng), _uuid(rng)


def _nice_ids(rng: Random) -> Ids:
    """Undocumented: numbers."""
    return str(rng.randrange(10**11, 10**12)), str(rng.randrange(10**11, 10**12))


#: how ids of a domain look: of the record and of the session.
DOMAINS: dict[str, Callable[[Random], Ids]] = {
    "rcv": _video_ids,
    "rcx": _contact_centre_ids,
    "ms-teams": _teams_ids,
    "nice-incontact": _nice_ids,
}


def hold_conversation(company: Company, rng: Random, domain: str, at: float) -> InsightEvent:
    """A conversation whose insights come ``at`` that moment. Raises ValueError for an unknown domain."""
    if domain not in DOMAINS:
        raise ValueError(f"domain must be one of: {', '.join(DOMAINS)}")
    record_id, session_id = DOMAINS[domain](rng)
    extension, ended_at = rng.choice(company.extensions), at - 300.0
    audio = mp3_of_length(record_id, round(SECONDS * 1000), 32)
    recording = Recording(record_id, "Automatic", audio, extension, ended_at, ended_at, domain=domain)
    call = Call(
        id="",
        session_id="",
        telephony_session_id=session_id,
        extension=extension,
        direction="Inbound",
        other_name=draw_name(rng),
        other_number=draw_number(rng),
        started_at=ended_at - SECONDS,
        duration_ms=round(SECONDS * 1000),
        revisions=(),
        recording=recording,
    )
    event = InsightEvent(
        uuid=_uuid(rng), at=at, recording=recording, call=call, kinds=draw_kinds(rng), old_spelling=rng.random() < 0.5
    )
    company.conversations[record_id] = recording
    company.add_event(event)
    return event


def _uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
