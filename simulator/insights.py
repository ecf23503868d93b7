"""What the insights of a recording say: made of a small vocabulary, always the same for the same recording."""

import hashlib
import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from simulator.clock import written
from simulator.company import Accepted, Call, Company, InsightEvent, Recording

Item = dict[str, Any]

CALL_NOTES_KINDS = ("CallNotes",)
#: every recording with a licence gets these.
USUAL_KINDS = ("Transcript", "Summary", "Highlights", "BulletedSummary", "AIScore", "Sentiment")
#: kinds that some recordings have: next steps, and one that no specification lists.
OCCASIONAL_KINDS = {"NextSteps": 0.8, "QnA": 0.05}
#: a kind that nobody has heard of, for events that are told to hold one.
UNKNOWN_KIND = "CoachingTips"
#: facts that the specification requires and that are null in an event with nulls; names of speakers are too.
NULLED = ("title", "callDirection", "ownerExtensionId", "recordingDurationMs")
#: facts that the historical sample of a video meeting does not have (facts 1.3).
NOT_OF_VIDEO = ("callDirection", "ownerExtensionId", "recordingDurationMs")
#: an utterance every so many seconds.
UTTERANCE_SECONDS = 6.0

SENTENCES = (
    "Thank you for calling, how can I help?",
    "I would like to move our delivery to next week.",
    "Let me look that up for you.",
    "The invoice shows the old address.",
    "Could you send me the offer once more?",
    "I have just sent it to you.",
    "That works well for us.",
    "We will call you back on Thursday.",
    "Is there anything else I can do?",
    "No, that was all, thank you.",
)
TOPICS = ("a delivery", "an invoice", "an offer", "an appointment", "a repair", "a contract")
STEPS = ("Send the offer again.", "Correct the address.", "Call back on Thursday.", "Confirm the new date.")


def draw_kinds(rng: Random) -> tuple[str, ...]:
    return USUAL_KINDS + tuple(kind for kind, share in OCCASIONAL_KINDS.items() if rng.random() < share)


def normalised(kind: str) -> str:
    return "Highlights" if kind == "HighLights" else kind


def event_body(company: Company, event: InsightEvent) -> Item:
    """The payload of one notification: only the kinds it is about, in the spelling it happened to use."""
    body = _body(company, event.call, event.recording, event.kinds, event.at)
    if event.old_spelling and "Highlights" in body["insights"]:
        body["insights"]["HighLights"] = body["insights"].pop("Highlights")
    if event.nulls:
        body |= {name: None for name in NULLED if name in body}
        body["speakerInfo"] = [{**speaker, "name": None} for speaker in body["speakerInfo"]]
    return body


def accepted(sent: bytes, body: Item) -> Accepted:
    """What a receiver took with the bytes of an envelope around that body. A kind whose value is null is no kind."""
    modified = body.get("lastModifiedTime") or ""
    versions: dict[str, tuple[str, str]] = {}
    for kind, value in body["insights"].items():
        if value is not None:
            version = (modified, _digest(value))
            versions[normalised(kind)] = max(version, versions.get(normalised(kind), version))
    return Accepted(hashlib.sha256(sent).hexdigest(), versions)


def _digest(value: Any) -> str:
    """The same for the same JSON, however its keys are ordered and its text is escaped."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def resource(company: Company, recording: Recording, now: float, wanted: Iterable[str]) -> Item | None:
    """What GET returns by now: everything that was announced so far; None when that is nothing."""
    due = [event for event in company.events_by_recording.get(recording.id, []) if event.at <= now]
    if not due:
        return None
    asked = set(wanted)
    kinds = [kind for event in due for kind in event.kinds if not asked or kind in asked]
    last = max(event.at for event in due)
    return _body(company, due[0].call, recording, dict.fromkeys(kinds), last)


def _body(company: Company, call: Call, recording: Recording, kinds: Iterable[str], modified_at: float) -> Item:
    outbound = call.direction == "Outbound"
    caller, callee = (call.extension.name, call.other_name) if outbound else (call.other_name, call.extension.name)
    first_event = company.events_by_recording[recording.id][0]
    body = {
        "title": f"Call from {caller} to {callee}",
        "rsRecordUri": f"https://ringsense.ringcentral.com/calls/{recording.id}",
        "domain": recording.domain,
        "sourceRecordId": recording.id,
        "sourceSessionId": call.telephony_session_id,
        "callDirection": call.direction,
        "ownerExtensionId": str(call.extension.id),
        "recordingDurationMs": recording.audio.duration_ms,
        "recordingStartTime": written(recording.ended_at - recording.audio.duration_ms / 1000),
        # The official sample was modified a few milliseconds before it was created (facts 1.3).
        "creationTime": written(first_event.at + 0.006),
        "lastModifiedTime": written(modified_at),
        "speakerInfo": _speakers(company, call),
        "insights": {kind: _MAKERS[kind](_generator(recording, kind), call, recording) for kind in kinds},
    }
    if recording.domain == "rcx":
        body["eventType"] = "Create"  # as in the only sample that has it (facts 1.3).
    return {name: value for name, value in body.items() if recording.domain != "rcv" or name not in NOT_OF_VIDEO}


def _speakers(company: Company, call: Call) -> list[Item]:
    own, other = _speaker_ids(call)
    return [
        {
            "speakerId": own,
            "name": call.extension.name,
            "accountId": company.account_id,
            "extensionId": str(call.extension.id),
            "phoneNumber": call.extension.phone_number,
        },
        {
            "speakerId": other,
            "name": call.other_name,
            "accountId": None,
            "extensionId": None,
            "phoneNumber": call.other_number,
        },
    ]


def _speaker_ids(call: Call) -> tuple[str, str]:
    """Of a telephony session ``s-…`` they are ``p-…-1`` and ``p-…-2``; elsewhere they only count."""
    if not call.telephony_session_id.startswith("s-"):
        return "1", "2"
    return call.party_id, f"{call.party_id[:-1]}2"


def _generator(recording: Recording, kind: str) -> Random:
    return Random(f"{recording.id}/{kind}")


def _transcript(rng: Random, call: Call, recording: Recording) -> list[Item]:
    speakers = _speaker_ids(call)
    count = max(2, int(recording.audio.duration_ms / 1000 / UTTERANCE_SECONDS))
    # The transcript of a very long recording stays an ordinary one: a thousand utterances are plenty.
    return [
        {
            "speakerId": speakers[index % 2],
            "text": rng.choice(SENTENCES),
            "start": round(index * UTTERANCE_SECONDS + 0.2, 2),
            "end": round(index * UTTERANCE_SECONDS + 5.1, 2),
        }
        for index in range(min(count, 1000))
    ]


def _spoken(values: tuple[str, ...], most: int) -> "Maker":
    def make(rng: Random, call: Call, _recording: Recording) -> list[Item]:
        return [
            {"speakerId": rng.choice(_speaker_ids(call)), "value": value, "start": start, "end": start + 4.5}
            for start, value in enumerate(rng.sample(values, rng.randint(1, most)), start=3)
        ]

    return make


def _summary(rng: Random, _call: Call, _recording: Recording) -> list[Item]:
    return [{"value": f"The call was about {rng.choice(TOPICS)}.", "start": 0, "end": 1}]


def _bulleted(rng: Random, _call: Call, _recording: Recording) -> list[Item]:
    return [{"value": f"They spoke about {topic}.", "section": "Topics"} for topic in rng.sample(TOPICS, 2)]


def _score(rng: Random, _call: Call, _recording: Recording) -> list[Item]:
    return [{"value": str(rng.randint(1, 10))}]  # RingCentral sends the number as text.


def _notes(rng: Random, _call: Call, _recording: Recording) -> list[Item]:
    return [{"value": f"Caller asked about {rng.choice(TOPICS)}.\n{rng.choice(STEPS)}"}]


def _sentiment(rng: Random, _call: Call, _recording: Recording) -> list[Item]:
    return [{"value": rng.choice(("Positive", "Negative", "Neutral"))}]


Maker = Callable[[Random, Call, Recording], list[Item]]

_MAKERS: dict[str, Maker] = {
    "Transcript": _transcript,
    "Summary": _summary,
    "Highlights": _spoken(SENTENCES, 3),
    "NextSteps": _spoken(STEPS, 2),
    "QnA": _spoken(SENTENCES, 2),
    "BulletedSummary": _bulleted,
    "AIScore": _score,
    "CallNotes": _notes,
    "Sentiment": _sentiment,
    UNKNOWN_KIND: _spoken(STEPS, 1),
}
