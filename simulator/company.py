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


@dataclass(frozen=True)
class Recording:
    """``ended_at``: metadata exists from here; ``ready_at``: the audio can be had."""

    id: str
    mode: str
    audio: Audio
    extension: Extension
    ended_at: float
    ready_at: float


@dataclass(frozen=True)
class Revision:
    """The call-log record as written at ``at``; the last one due is what the call log shows."""

    at: float
    with_recording: bool = True
    finished: bool = True
    legs: int = 2


@dataclass(frozen=True)
class Call:
    """One call-log record over its whole life. ``leg_recording`` is a second one, listed on the last leg only."""

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


@dataclass
class InsightEvent:
    """One notification about one recording; ``kinds`` are what its payload holds."""

    uuid: str
    at: float
    recording: Recording
    call: Call
    kinds: tuple[str, ...]
    old_spelling: bool
    delivered: bool = False
    tries: int = 0


@dataclass
class Company:
    """All of it, and the ways to find a part. ``last_moment`` is when the last planned thing happens."""

    account_id: str
    extensions: list[Extension]
    calls: list[Call] = field(default_factory=list)
    events: list[InsightEvent] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)
    calls_by_id: dict[str, Call] = field(default_factory=dict)
    calls_by_recording: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    events_by_recording: dict[str, list[InsightEvent]] = field(default_factory=lambda: defaultdict(list))
    last_moment: float = 0.0

    def add_call(self, call: Call) -> None:
        self.calls.append(call)
        self.calls_by_id[call.id] = call
        self._happens(call.revisions[-1].at)
        for recording in call.recordings():
            self.recordings[recording.id] = recording
            self.calls_by_recording[recording.id].append(call)
            self._happens(recording.ready_at)

    def add_event(self, event: InsightEvent) -> None:
        self.events.append(event)
        self.events_by_recording[event.recording.id].append(event)
        self._happens(event.at)

    def recordings_of_session(self, telephony_session_id: str) -> list[Recording]:
        return [
            recording
            for call in self.calls
            if call.telephony_session_id == telephony_session_id
            for recording in call.recordings()
        ]

    def _happens(self, moment: float) -> None:
        self.last_moment = max(self.last_moment, moment)
