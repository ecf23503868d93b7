"""One row from all that is said of a recording, whatever the order, repetition or loss-then-repeat of what arrives.

Pure. Each fact and each kind of insight is kept with the version it came with, and the greater version wins: a version
is a list of texts that compares as one. So merging is commutative, associative and idempotent.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

#: Facts that lists and filters need; each is a column of `recordings` of the same name.
FACTS: Final = (
    "telephony_session_id",
    "call_log_id",
    "title",
    "direction",
    "started_at",
    "duration_ms",
    "from_number",
    "from_name",
    "to_number",
    "to_name",
    "extension_id",
    "recording_type",
    "audio_content_uri",
    "speakers",
)
#: The kind that AI Notes bring before RingSense has listened to the call.
_NOTES: Final = "CallNotes"
#: The guide and the specification spell this kind differently (facts 1.3).
_SPELLINGS: Final = {"HighLights": "Highlights"}
#: Domains whose calls RingCentral keeps as call recordings that can be downloaded.
_WITH_AUDIO: Final = "pbx"
NO_AUDIO_IN_DOMAIN: Final = "RingCentral offers no audio for this domain"

Versioned = dict[str, tuple[list[str], Any]]


@dataclass(frozen=True, slots=True)
class Saying:
    """What one call-log record, event or fetched insight says of one recording."""

    source: Literal["call_log", "insights"]
    #: When the source says it was modified; the empty text when it does not say.
    modified: str
    facts: Mapping[str, Any]
    insights: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one recording, as far as merging is concerned."""

    domain: str
    call_log_facts: Versioned = field(default_factory=dict)
    insights_facts: Versioned = field(default_factory=dict)
    insights: dict[str, Any] = field(default_factory=dict)
    insights_versions: dict[str, list[str]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Every fact's value: call log over insights."""
        both = self.insights_facts | self.call_log_facts
        return {name: both[name][1] if name in both else None for name in FACTS}

    def insights_state(self) -> str:
        """How far the insights are here, as the column says it."""
        if not self.insights:
            return "absent"
        return "partial" if set(self.insights) == {_NOTES} else "present"

    def audio_state(self) -> str:
        """The state that the audio begins in; once it has left `unknown`, the downloader moves it."""
        if self.domain != _WITH_AUDIO:
            return "unavailable"
        return "pending" if self.facts()["audio_content_uri"] else "unknown"


def merge(known: Known, saying: Saying) -> Known:
    """What is known after this was said as well."""
    facts = {name: value for name, value in saying.facts.items() if value is not None}
    version = [saying.modified, digest_of(facts)]
    if saying.source == "call_log":
        return replace(known, call_log_facts=_newest(known.call_log_facts, facts, version))
    insights, versions = dict(known.insights), dict(known.insights_versions)
    for spelt, value in sorted(saying.insights.items()):
        kind = _SPELLINGS.get(spelt, spelt)
        kind_version = [saying.modified, digest_of(value)]
        if value is not None and kind_version > versions.get(kind, []):
            insights[kind], versions[kind] = value, kind_version
    return replace(
        known,
        insights_facts=_newest(known.insights_facts, facts, version),
        insights=insights,
        insights_versions=versions,
    )


def combine(known: Known, other: Known) -> Known:
    """What is known after both: of each fact and each kind the greater version, as if everything was said to one."""
    insights, versions = dict(known.insights), dict(known.insights_versions)
    for kind, version in other.insights_versions.items():
        if version > versions.get(kind, []):
            insights[kind], versions[kind] = other.insights[kind], version
    return replace(
        known,
        call_log_facts=_greatest(known.call_log_facts, other.call_log_facts),
        insights_facts=_greatest(known.insights_facts, other.insights_facts),
        insights=insights,
        insights_versions=versions,
    )


def _greatest(held: Versioned, others: Versioned) -> Versioned:
    return held | {
        name: fact for name, fact in others.items() if name not in held or list(fact[0]) > list(held[name][0])
    }


def _newest(held: Versioned, facts: Mapping[str, Any], version: list[str]) -> Versioned:
    newer = {
        name: (version, value) for name, value in facts.items() if name not in held or version > list(held[name][0])
    }
    return held | newer if newer else held


def digest_of(value: Any) -> str:
    """A digest that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def version_of(modified: datetime | None) -> str:
    """A time as a text that sorts as the time does."""
    return "" if modified is None else modified.isoformat(timespec="microseconds")
