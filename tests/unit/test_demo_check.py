"""The demonstration's check: what it lets pass, and that each thing that is not as it should be has its sentence."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.storage.interface import Storage
from common.storage.open import open_storage
from demo.check import Held, Verdict, compare

AUDIO = b"what was said"
VALUE = [{"value": "The call was about größere things.", "start": 0.5}]
COUNTS = {"refused": 0}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def event(*bodies: bytes, lost: bool = False) -> dict[str, Any]:
    return {"delivered": bool(bodies), "lost": lost, "bodies": [sha256(body) for body in bodies]}


@dataclass(frozen=True)
class Story:
    """A company of one recording with one insight, and the copy of it."""

    truth: Mapping[str, Any]
    held: Held
    storage: Storage

    async def verdict(self, at_least: int = 1) -> Verdict:
        return await compare(self.truth, COUNTS, self.held, self.storage, at_least=at_least)

    def holding(self, **columns: Any) -> "Story":
        """With other columns in the copy's row."""
        ((name, row),) = self.held.rows.items()
        return replace(self, held=replace(self.held, rows={name: {**row, **columns}}))

    def knowing(self, **facts: Any) -> "Story":
        """With another truth."""
        return replace(self, truth={**self.truth, **facts})


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    (tmp_path / "one.mp3").write_bytes(AUDIO)
    recording = {
        "id": "1",
        "bytes": len(AUDIO),
        "sha256": sha256(AUDIO),
        "obtainable": True,
        "call_log_ids": ["call"],
    }
    row = {
        "audio_state": "stored",
        "audio_object": "one.mp3",
        "audio_bytes": len(AUDIO),
        "audio_sha256": sha256(AUDIO),
        "audio_reason": None,
        "call_log_id": "call",
        "insights": {"Summary": VALUE},
    }
    summary = {"delivered": True, "fetchable": True, "sha256": digest(VALUE)}
    never = {"delivered": False, "fetchable": True, "sha256": None}
    truth = {
        "recordings": [recording],
        "insights": [{"domain": "pbx", "record_id": "1", "kinds": {"Summary": summary, "NextSteps": never}}],
        "events": [event(b"first", b"again"), event(lost=True)],
        "calls": 1,
        "visible_calls": 1,
    }
    held = Held({("pbx", "1"): row}, {sha256(b"first"), sha256(b"again")}, calls=1)
    async with open_storage(tmp_path.as_uri()) as storage:
        yield Story(truth, held, storage)


async def test_a_copy_that_is_right_passes(story: Story) -> None:
    verdict = await story.verdict()
    assert verdict.faults == []
    assert (verdict.recordings, verdict.stored, verdict.merged, verdict.journaled) == (1, 1, 1, 2)
    assert verdict.missing == 0


async def test_the_order_of_keys_is_no_difference(story: Story) -> None:
    turned = [dict(reversed(VALUE[0].items()))]
    assert (await story.holding(insights={"Summary": turned}).verdict()).faults == []


@pytest.mark.parametrize(
    "value", [[], None, {}, [{"value": "what was said before", "start": 0.5}], [*VALUE, *VALUE], json.dumps(VALUE)]
)
async def test_a_stale_or_mangled_value_of_the_right_kind_is_a_fault(story: Story, value: Any) -> None:
    verdict = await story.holding(insights={"Summary": value}).verdict()
    assert verdict.faults == ["recording 1: insights with another value than RingCentral sent last: Summary"]
    assert (verdict.merged, verdict.missing) == (0, 1)


async def test_a_kind_that_is_missing_and_one_that_nobody_sent_are_faults(story: Story) -> None:
    verdict = await story.holding(insights={"Invented": VALUE}).verdict()
    assert verdict.faults == ["recording 1: insights missing: Summary", "recording 1: 1 insights too many"]


async def test_the_values_of_other_domains_are_compared_as_well(story: Story) -> None:
    kinds = {"Summary": {"delivered": True, "fetchable": True, "sha256": digest([])}}
    video = {"domain": "rcv", "record_id": "2", "kinds": kinds}
    row = {"insights": {"Summary": VALUE}}
    told = story.knowing(insights=[*story.truth["insights"], video])
    copied = replace(told, held=replace(told.held, rows={**told.held.rows, ("rcv", "2"): row}))
    assert (await told.verdict()).faults == ["rcv 2: insights missing: Summary"]
    (fault,) = (await copied.verdict()).faults
    assert fault == "rcv 2: insights with another value than RingCentral sent last: Summary"


async def test_an_event_that_was_answered_200_and_is_not_in_the_journal_is_a_fault(story: Story) -> None:
    held = replace(story.held, journal={sha256(b"first"), sha256(b"mangled")})
    verdict = await replace(story, held=held).verdict()
    assert verdict.faults == ["1 events were answered with 200 and are not in the journal, byte for byte"]
    assert verdict.journaled == 1


async def test_an_event_that_was_not_answered_is_a_fault_even_when_it_was_kept(story: Story) -> None:
    verdict = await story.knowing(events=[event()]).verdict()
    assert verdict.faults == ["1 events were sent and not answered with 200"]


async def test_an_empty_company_proves_nothing(story: Story) -> None:
    empty = story.knowing(recordings=[], insights=[], events=[], calls=0, visible_calls=0)
    verdict = await replace(empty, held=Held({}, frozenset(), calls=0)).verdict()
    assert verdict.faults == ["RingCentral has 0 recordings, not 1 or more"]


async def test_a_company_smaller_than_asked_for_is_a_fault(story: Story) -> None:
    assert (await story.verdict(at_least=200)).faults == ["RingCentral has 1 recordings, not 200 or more"]


async def test_other_bytes_in_storage_are_a_fault(story: Story, tmp_path: Path) -> None:
    (tmp_path / "one.mp3").write_bytes(AUDIO[::-1])
    assert (await story.verdict()).faults == ["recording 1: the object holds other bytes than RingCentral's"]
