"""The company: who works there, what calls it makes and when each fact about a call becomes visible."""

from collections import defaultdict
from dataclasses import dataclass, field

from simulator.audio import Audio


@dataclass(frozen=True)
class Extension:
    id: int
    number: str
    name: str
    phone_number: str
    licensed: bool


@dataclass
class Recording:
    """``ended_at``: metadata exists from here; ``ready_at``: the audio can be had; ``gone_at``: it never can again.

    ``gone_because`` says in words why; ``asked_when_gone``: a client was told. Outside ``pbx`` there is no audio to
    fetch.
    """

    id: str
    mode: str
    audio: Audio
    extension: Extension
    ended_at: float
    ready_at: float
    domain: str = "pbx"
    gone_at: float | None = None
    gone_because: str = ""
    asked_when_gone: bool = False

    def is_gone(self, now: float) -> bool:
        return self.gone_at is not None and self.gone_at <= now

    def was_met(self, _since: float) -> bool:
        """Whether a client was told that it is gone."""
        return self.asked_when_gone


@dataclass(frozen=True)
class Revision:
    """The call-log record as written at ``at``; the last one due is what the call log shows."""

    at: float
    with_recording: bool = True
    finished: bool = True
    legs: int = 2
    deleted: bool = False
    result: str = ""


@dataclass
class Call:
    """One call-log record over its whole life. ``leg_recording`` is a second one, listed on the last leg only.

    ``nulls``: its record has nulls where the specification forbids them. ``told_at``: when the newest version was
    written that a client was given.
    """

    id: str
    session_id: str
    telephony_session_id: str
    extension: Extension
    direction: str
    other_name: str
    other_number: str
    started_at: float
    duration_ms: int
    revisions: tuple[Revision, ...]
    recording: Recording | None = None
    leg_recording: Recording | None = None
    short_recording: bool = False
    ai_notes: bool = False
    queue: bool = False
    nulls: bool = False
    told_at: float | None = None

    @property
    def party_id(self) -> str:
        return f"p{self.telephony_session_id[1:]}-1"

    @property
    def ended_at(self) -> float:
        return self.started_at + self.duration_ms / 1000

    def recordings(self) -> list[Recording]:
        return [recording for recording in (self.recording, self.leg_recording) if recording]

    def revision(self, now: float) -> Revision | None:
        """What the call log shows by now; None before the record appears."""
        due = [revision for revision in self.revisions if revision.at <= now]
        return due[-1] if due else None

    def write_again(self, revision: Revision) -> None:
        """The record is written anew at the revision's moment, which must not lie before those it has."""
        self.revisions = (*self.revisions, revision)

    def tell(self, revision: Revision) -> None:
        """A client is given that version."""
        self.told_at = revision.at if self.told_at is None else max(self.told_at, revision.at)

    def was_met(self, since: float) -> bool:
        """Whether a client was given a version that was written then or later."""
        return self.told_at is not None and self.told_at >= since


@dataclass(frozen=True)
class Accepted:
    """One body that a receiver answered 200: its sha256, and the version of the value of each kind that it held.

    A version is ``lastModifiedTime`` and the value's digest; of two, the greater one is the newer one.
    """

    sha256: str
    versions: dict[str, tuple[str, str]]


@dataclass
class InsightEvent:
    """One notification about one recording; ``kinds`` are what its payload holds.

    ``fault`` is what shall go wrong with it on its way (see ``event_faults``), ``lost`` that it was never sent;
    ``nulls``: facts of its payload are null where the specification forbids it. ``accepted``: what receivers have taken
    of it and of its copies, which share the list.
    """

    uuid: str
    at: float
    recording: Recording
    call: Call
    kinds: tuple[str, ...]
    old_spelling: bool
    delivered: bool = False
    tries: int = 0
    fault: str = ""
    lost: bool = False
    nulls: bool = False
    accepted: list[Accepted] = field(default_factory=list)

    def was_met(self, _since: float) -> bool:
        """Whether it was sent, or lost for good."""
        return self.tries > 0 or self.lost


@dataclass(frozen=True)
class Oddity:
    """What the seed made odd: ``name`` as it is chosen by, ``of`` what, and ``since`` when it shows."""

    name: str
    of: Call | Recording | InsightEvent
    since: float

    @property
    def place(self) -> str:
        return {Call: "records", Recording: "audio", InsightEvent: "events"}[type(self.of)]

    @property
    def met(self) -> bool:
        return self.of.was_met(self.since)


@dataclass
class Company:
    """All of it, and the ways to find a part. ``last_moment`` is when the last planned thing happens.

    ``conversations`` are those of other domains than ``pbx``, by the id of their record.
    """

    account_id: str
    extensions: list[Extension]
    calls: list[Call] = field(default_factory=list)
    events: list[InsightEvent] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)
    calls_by_id: dict[str, Call] = field(default_factory=dict)
    calls_by_recording: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    events_by_recording: dict[str, list[InsightEvent]] = field(default_factory=dict)
    conversations: dict[str, Recording] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)
    last_moment: float = 0.0

    def add_call(self, call: Call) -> None:
        self.calls.append(call)
        self.calls_by_id[call.id] = call
        self.happens(call.revisions[-1].at)
        for recording in call.recordings():
            self.recordings[recording.id] = recording
            self.calls_by_recording[recording.id].append(call)
            self.happens(recording.ready_at)

    def add_event(self, event: InsightEvent) -> None:
        self.events.append(event)
        self.events_by_recording.setdefault(event.recording.id, []).append(event)
        self.happens(event.at)

    def record_of(self, domain: str, record_id: str) -> Recording | None:
        """What insights can be about."""
        found = self.recordings.get(record_id) or self.conversations.get(record_id)
        return found if found and found.domain == domain else None

    def records_of_session(self, domain: str, session_id: str) -> list[Recording]:
        of_session = [event.recording for event in self.events if event.call.telephony_session_id == session_id]
        return list({one.id: one for one in of_session if one.domain == domain}.values())

    def happens(self, moment: float) -> None:
        """Something is planned for that moment: only after it has all happened."""
        self.last_moment = max(self.last_moment, moment)
