"""What is odd about the company itself, by seed: calls, recordings and events that differ from the plain ones.

Chance of their own decides whom it hits, so the company of a seed stays the same one, with wrinkles. One function per
kind in ``WRINKLES``; it is given the company and somebody who picks some of a list, and tells what is odd since when.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import TypeVar

from simulator.announcements import EVENT_KINDS
from simulator.company import Call, Company, InsightEvent, Oddity, Recording, Revision
from simulator.conversations import DOMAINS, hold_conversation
from simulator.people import masked
from simulator.tally import Tally

#: the share of all calls or events that a kind hits, and how many at least.
SHARE, AT_LEAST = 0.05, 2
#: business seconds after which a record is written once more.
WRITTEN_AGAIN_AFTER = (60.0, 900.0)

T = TypeVar("T")
Odd = tuple[Call | Recording | InsightEvent, float]


class Chance:
    """Picks whom a wrinkle hits, and when."""

    def __init__(self, seed: str) -> None:
        self.rng = Random(seed)

    def some(self, of: Sequence[T]) -> list[T]:
        count = max(AT_LEAST, round(len(of) * SHARE))
        return self.rng.sample(of, min(count, len(of)))

    def later(self) -> float:
        return self.rng.uniform(*WRITTEN_AGAIN_AFTER)


def _masked(company: Company, chance: Chance) -> Iterator[Odd]:
    """Numbers with the last digits hidden."""
    for call in chance.some(company.calls):
        call.other_number = masked(call.other_number)
        yield call, call.revisions[0].at


def _nulls(company: Company, chance: Chance) -> Iterator[Odd]:
    for call in chance.some(company.calls):
        call.nulls = True
        yield call, call.revisions[0].at


def _rewritten(company: Company, chance: Chance) -> Iterator[Odd]:
    """The same record once more, with another result and one leg more."""
    for call in chance.some(company.calls):
        last = call.revisions[-1]
        _write(company, call, replace(last, at=last.at + chance.later(), legs=last.legs + 1, result="Call connected"))
        yield call, call.revisions[-1].at


def _late_recording(company: Company, chance: Chance) -> Iterator[Odd]:
    """The record is there, its recording is listed later."""
    for call in chance.some([call for call in company.calls if call.recordings() and len(call.revisions) == 1]):
        first = call.revisions[0]
        call.revisions = (replace(first, with_recording=False),)
        _write(company, call, replace(first, at=first.at + chance.later()))
        yield call, call.revisions[-1].at


def _deleted(company: Company, chance: Chance) -> Iterator[Odd]:
    """Records of calls without a recording are deleted."""
    for call in chance.some([call for call in company.calls if not call.recordings()]):
        delete_call(company, call, call.revisions[-1].at + chance.later())
        yield call, call.revisions[-1].at


def _recording_removed(company: Company, chance: Chance) -> Iterator[Odd]:
    """A recording is listed, then it no longer is; its audio could never be had."""
    for call in chance.some([call for call in company.calls if call.recordings()]):
        remove_recordings(company, call, call.revisions[-1].at + chance.later())
        for recording in call.recordings():
            recording.gone_at = recording.ended_at
        yield call, call.revisions[-1].at


def _audio_gone(company: Company, chance: Chance) -> Iterator[Odd]:
    """Listed for ever, but retention took the audio before anybody could fetch it."""
    for recording in chance.some([one for one in company.recordings.values() if one.gone_at is None]):
        expire_audio(recording, recording.ended_at)
        yield recording, recording.ended_at


def _other_domains(company: Company, chance: Chance) -> Iterator[Odd]:
    """Two conversations of each other domain."""
    pbx = list(company.events)
    for domain in [*DOMAINS, *DOMAINS] if pbx else []:
        event = hold_conversation(company, chance.rng, domain, chance.rng.choice(pbx).at)
        yield event, event.at


def _on_the_way(kind: str, company: Company, chance: Chance) -> Iterator[Odd]:
    """Something happens to events on their way; to one event only one thing."""
    for event in chance.some([event for event in company.events if not event.fault]):
        event.fault = kind
        yield event, event.at


def remove_recordings(company: Company, call: Call, at: float) -> None:
    """The record is written again without its recordings, and from then on they cannot be had."""
    _write(company, call, replace(call.revisions[-1], at=at, with_recording=False))
    for recording in call.recordings():
        recording.gone_at, recording.gone_because = at, "removed from the call log"


def expire_audio(recording: Recording, at: float) -> None:
    """Retention takes the audio; the call log goes on listing it."""
    recording.gone_at, recording.gone_because = at, "audio deleted by retention"


def delete_call(company: Company, call: Call, at: float) -> None:
    """The record is marked as deleted; its recordings, if any, stay."""
    _write(company, call, replace(call.revisions[-1], at=at, deleted=True))


def _write(company: Company, call: Call, revision: Revision) -> None:
    call.write_again(replace(revision, at=round(revision.at, 3)))
    company.happens(revision.at)


WRINKLES: dict[str, Callable[[Company, Chance], Iterator[Odd]]] = {
    "call-log:masked": _masked,
    "call-log:nulls": _nulls,
    "call-log:late-recording": _late_recording,
    "call-log:rewritten": _rewritten,
    "call-log:deleted": _deleted,
    "call-log:recording-removed": _recording_removed,
    "http:audio-gone": _audio_gone,
    **{f"events:{kind}": partial(_on_the_way, kind) for kind in EVENT_KINDS},
    "events:other-domains": _other_domains,
}


def wrinkle(company: Company, seed: int, names: frozenset[str]) -> None:
    """Each kind has chance of its own: choosing one more changes nothing about the others."""
    for name, change in WRINKLES.items():
        if name in names:
            odd = change(company, Chance(f"{seed}/{name}"))
            company.oddities += [Oddity(name, of, since) for of, since in odd]


def tally_of(company: Company) -> list[Tally]:
    """How much of each kind there is, and how much of it a client has met."""
    planned = Counter((one.name, one.place) for one in company.oddities)
    met = Counter((one.name, one.place) for one in company.oddities if one.met)
    return [Tally(name, place, count, met[name, place]) for (name, place), count in planned.items()]
