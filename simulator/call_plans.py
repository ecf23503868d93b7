"""From the plan of a call to its records, recordings and events: the same way for drawn and for ordered calls."""

import base64
from dataclasses import dataclass
from random import Random

from simulator.audio import Audio
from simulator.audio_mp3 import FRAME_MS, mp3_of_length
from simulator.audio_mp3_vbr import vbr_of_length
from simulator.audio_wav import wav_of_length, wav_of_size
from simulator.company import Call, Company, Extension, InsightEvent, Recording, Revision
from simulator.insights import CALL_NOTES_KINDS, draw_kinds
from simulator.people import draw_name, draw_number

#: a recording begins when the call is answered: this much later than the call.
RING_SECONDS = 2
#: kbit/s that mp3 recordings are drawn from: with 30 s to 6 min they make 120 kB to 2.2 MB.
MP3_BIT_RATES = (32, 32, 40, 48)


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """What shall happen. Every ``*_after`` is in business seconds after the call's end; None means never."""

    extension: Extension
    started_at: float
    seconds: float
    recorded: bool = True
    short_recording: bool = False
    wav: bool = False
    #: mp3 with frames of varying bit rate, without a header that tells the length.
    vbr: bool = False
    #: how long the recording is, when it holds only a part of the call.
    recording_seconds: float | None = None
    bytes: int | None = None
    second_recording: bool = False
    transfer: bool = False
    queue: bool = False
    appears_after: float = 20.0
    recording_after: float | None = None
    audio_after: float = 5.0
    notes_after: float | None = None
    insights_after: float | None = None


class Planner:
    """Turns plans into calls of the company; ids, names and details come from the generator."""

    def __init__(self, company: Company, rng: Random) -> None:
        self._company = company
        self._rng = rng

    def carry_out(self, plan: CallPlan) -> tuple[list[Call], list[InsightEvent]]:
        session = f"s-a0{self._rng.getrandbits(72):018x}z{self._rng.getrandbits(44):011x}z{self._rng.getrandbits(40):x}"
        calls = [self._call(plan, session, plan.started_at)]
        if plan.transfer:
            calls.append(self._call(plan, session, calls[0].ended_at))
        events: list[InsightEvent] = []
        for call in calls:
            self._company.add_call(call)
            for recording in call.recordings():
                events += self._events(plan, call, recording)
        for event in events:
            self._company.add_event(event)
        return calls, events

    def new_uuid(self) -> str:
        return str(self._rng.randrange(10**18, 9 * 10**18))

    def _call(self, plan: CallPlan, session: str, started_at: float) -> Call:
        recording = self._recording(plan, started_at) if plan.recorded else None
        seconds = recording.audio.duration_ms / 1000 + RING_SECONDS if recording and plan.bytes else plan.seconds
        ended_at = started_at + seconds
        return Call(
            id=base64.urlsafe_b64encode(self._rng.randbytes(11)).decode().rstrip("="),
            session_id=str(self._rng.randrange(10**10, 10**11)),
            telephony_session_id=session,
            extension=plan.extension,
            direction=self._rng.choice(("Inbound", "Outbound")) if not plan.queue else "Inbound",
            other_name=draw_name(self._rng),
            other_number=draw_number(self._rng),
            started_at=started_at,
            duration_ms=round(seconds * 1000),
            revisions=_revisions(plan, ended_at),
            recording=recording,
            leg_recording=self._recording(plan, started_at) if recording and plan.second_recording else None,
            short_recording=plan.short_recording,
            ai_notes=plan.notes_after is not None,
            queue=plan.queue,
        )

    def _recording(self, plan: CallPlan, started_at: float) -> Recording:
        id_ = str(self._rng.randrange(10**12, 10**13))
        audio = self._audio(plan, id_)
        seconds = audio.duration_ms / 1000 + RING_SECONDS if plan.bytes else plan.seconds
        return Recording(
            id=id_,
            mode="OnDemand" if self._rng.random() < 0.1 or plan.recording_seconds is not None else "Automatic",
            audio=audio,
            extension=plan.extension,
            ended_at=started_at + seconds,
            ready_at=started_at + seconds + plan.audio_after,
        )

    def _audio(self, plan: CallPlan, id_: str) -> Audio:
        if plan.bytes:
            return wav_of_size(id_, plan.bytes)
        seconds = plan.seconds - RING_SECONDS if plan.recording_seconds is None else plan.recording_seconds
        length_ms = max(FRAME_MS, round(seconds * 1000))
        if plan.wav:
            return wav_of_length(id_, length_ms)
        if plan.vbr:
            return vbr_of_length(id_, length_ms)
        return mp3_of_length(id_, length_ms, self._rng.choice(MP3_BIT_RATES))

    def _events(self, plan: CallPlan, call: Call, recording: Recording) -> list[InsightEvent]:
        drawn = draw_kinds(self._rng)  # drawn even when unused: a licence does not change everybody else's calls.
        planned = [(plan.notes_after, CALL_NOTES_KINDS), (plan.insights_after, drawn)]
        return [
            InsightEvent(
                uuid=self.new_uuid(),
                at=recording.ended_at + after,
                recording=recording,
                call=call,
                kinds=kinds,
                old_spelling=self._rng.random() < 0.5,
            )
            for after, kinds in planned
            if after is not None
        ]


def _revisions(plan: CallPlan, ended_at: float) -> tuple[Revision, ...]:
    """One version of the record, or two when it is rewritten: a queue call, or a recording that is listed late."""
    appears_at = round(ended_at + plan.appears_after, 3)
    rewritten_at = appears_at if plan.recording_after is None else round(ended_at + plan.recording_after, 3)
    if rewritten_at <= appears_at:
        return (Revision(appears_at),)
    if plan.queue:
        return (Revision(appears_at, with_recording=False, finished=False, legs=1), Revision(rewritten_at, legs=3))
    return (Revision(appears_at, with_recording=False), Revision(rewritten_at))
