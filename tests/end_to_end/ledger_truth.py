"""The ledger as the simulator's truth has it: every number of every day and extension."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from common.database.ledger import AUDIO, INSIGHTS, NUMBERS
from simulator.company import Call, Company, Recording

#: A day, and an extension or None.
Where = tuple[date, str | None]
#: As long before and after a day an extension's insights show that it has a licence.
LICENSED_WITHIN = timedelta(days=30)


@dataclass
class Numbers:
    """One line: the numbers by name, and what is unavailable by kind of reason."""

    numbers: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, side: str, cell: str) -> None:
        """Count a recording into a cell, for example `unavailable: no_licence`."""
        kind, _, reason = cell.partition(": ")
        self.numbers[f"{side}_{kind}"] += 1
        if reason:
            self.reasons[f"{side}_unavailable_by"][reason] += 1

    def told(self) -> dict[str, Any]:
        """As the view shows it."""
        reasons: dict[str, dict[str, int]] = {f"{side}_unavailable_by": {} for side in ("audio", "insights")} | {
            name: dict(reasons) for name, reasons in self.reasons.items()
        }
        return {name: self.numbers[name] for name in NUMBERS} | reasons


def truth_of(company: Company, zone: str, now: float, quarantined: set[str]) -> Mapping[Where, dict[str, Any]]:
    """Every line that the ledger must have, when all schedules have come to their end.

    `quarantined` are recordings of which RingCentral gives another audio than it tells of.
    """
    lines: dict[Where, Numbers] = defaultdict(Numbers)

    def line(call: Call, extension: str | None) -> Numbers:
        return lines[datetime.fromtimestamp(call.started_at, ZoneInfo(zone)).date(), extension]

    for call in company.calls:
        shown = call.revision(now)
        if shown is not None and not shown.deleted:
            line(call, str(call.extension.id)).numbers["calls"] += 1
    for recording in company.recordings.values():
        here = line(company.calls_by_recording[recording.id][0], str(recording.extension.id))
        here.numbers["recordings"] += 1
        here.add("audio", "quarantined" if recording.id in quarantined else audio_of(recording))
        here.add("insights", insights_of(company, recording))
    for meeting in company.conversations.values():
        # RingCentral does not tell whose a meeting is (facts 1.3).
        here = line(company.events_by_recording[meeting.id][0].call, None)
        here.numbers["recordings"] += 1
        here.add("audio", "unavailable: no_audio_in_domain")
        here.add("insights", "present")
    _expect(lines)
    return {where: numbers.told() for where, numbers in lines.items() if +numbers.numbers}


def audio_of(recording: Recording) -> str:
    """Whoever is there in time gets what was there at all."""
    never = recording.gone_at is not None and recording.gone_at <= recording.ready_at
    return "unavailable: nothing_there" if never else "stored"


def insights_of(company: Company, recording: Recording) -> str:
    kinds = {kind for event in company.events_by_recording.get(recording.id, []) for kind in event.kinds}
    if kinds:
        return "partial" if kinds == {"CallNotes"} else "present"
    return f"unavailable: {'nothing_there' if recording.extension.licensed else 'no_licence'}"


def _expect(lines: Mapping[Where, Numbers]) -> None:
    had = [where for where, line in lines.items() if {"insights_present", "insights_partial"} & line.numbers.keys()]
    for (day, extension), line in lines.items():
        if any(extension == other and abs(day - when) <= LICENSED_WITHIN for when, other in had):
            line.numbers["insights_expected"] = line.numbers["recordings"]


def told_by(rows: Iterable[Mapping[str, Any]]) -> Mapping[Where, dict[str, Any]]:
    """The lines that the view shows."""
    names = [*NUMBERS, "audio_unavailable_by", "insights_unavailable_by"]
    lines = {(row["day"], row["extension_id"]): {name: row[name] for name in names} for row in rows}
    for line in lines.values():
        assert sum(line[f"audio_{cell}"] for cell in AUDIO) == line["recordings"]
        assert sum(line[f"insights_{cell}"] for cell in INSIGHTS) == line["recordings"]
    return lines
