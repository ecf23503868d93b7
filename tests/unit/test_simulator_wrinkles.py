"""What a seed makes odd about the company: the same company, with wrinkles."""

from dataclasses import replace

import pytest

from simulator.company import Call, Company, InsightEvent, Recording
from simulator.drawing import draw_company, draw_neighbour
from simulator.fault_names import chosen_faults
from simulator.insights import UNKNOWN_KIND, event_body
from simulator.options import SimulatorOptions
from simulator.records import Renderer
from simulator.wrinkles import WRINKLES, tally_of, wrinkle

OPTIONS = SimulatorOptions(recordings=60)


def company(faults: str) -> Company:
    drawn = draw_company(OPTIONS, 0.0)[0]
    wrinkle(drawn, OPTIONS.seed, chosen_faults(faults))
    return drawn


def changed(faults: str) -> list[tuple[Call, Call]]:
    """Calls before and after, those that differ."""
    pairs = zip(company("").calls, company(faults).calls, strict=True)
    return [(before, after) for before, after in pairs if before != after]


def test_without_faults_the_company_is_the_plain_one_and_with_them_always_the_same() -> None:
    assert company("") == draw_company(OPTIONS, 0.0)[0]
    assert company("storm") == company("storm")


def test_choosing_one_kind_more_changes_nothing_about_the_others() -> None:
    def masked(faults: str) -> set[str]:
        return {call.id for call in company(faults).calls if "X" in call.other_number}

    assert masked("call-log:masked") == masked("call-log:masked,call-log:rewritten,events") != set()


def test_some_numbers_are_masked() -> None:
    pairs = changed("call-log:masked")
    assert pairs
    assert all(after.other_number == f"{before.other_number[:-4]}XXXX" for before, after in pairs)


@pytest.mark.parametrize("kind", ["rewritten", "late-recording", "deleted", "recording-removed"])
def test_records_are_written_again_later(kind: str) -> None:
    pairs = changed(f"call-log:{kind}")
    assert pairs
    for before, after in pairs:
        assert len(after.revisions) == len(before.revisions) + 1
        assert after.revisions[-1].at > before.revisions[-1].at
        assert company(f"call-log:{kind}").last_moment >= after.revisions[-1].at
    first, last = pairs[0][1].revisions[-2:]
    expected = {
        "rewritten": replace(first, at=last.at, legs=first.legs + 1, result="Call connected"),
        "late-recording": replace(first, at=last.at, with_recording=True),
        "deleted": replace(first, at=last.at, deleted=True),
        "recording-removed": replace(first, at=last.at, with_recording=False),
    }
    assert last == expected[kind]


def test_only_calls_without_a_recording_are_deleted() -> None:
    assert not any(call.recordings() for call, _ in changed("call-log:deleted"))


def test_some_recordings_can_never_be_had_and_it_is_known_why() -> None:
    drawn = company("http:audio-gone,call-log:recording-removed")
    gone = [one for one in drawn.recordings.values() if one.is_gone(one.ready_at)]
    assert {one.gone_because for one in gone} == {"audio deleted by retention", "removed from the call log"}
    assert len(gone) < len(drawn.recordings) / 5


def test_one_event_meets_one_fault() -> None:
    drawn = company("events")
    faults = [event.fault for event in drawn.events if event.fault]
    assert set(faults) == {"duplicated", "copied", "delayed", "reordered", "lost", "nulls", "unknown-kind"}


def test_every_other_domain_has_conversations_with_ids_of_its_own_shape() -> None:
    drawn = company("events:other-domains")
    by_domain = {event.recording.domain: event_body(drawn, event) for event in drawn.events}
    assert set(by_domain) == {"pbx", "rcv", "rcx", "ms-teams", "nice-incontact"}
    assert by_domain["rcx"]["sourceRecordId"].startswith("p-v-")
    assert by_domain["rcx"]["sourceSessionId"].startswith("s-v-")
    assert by_domain["rcx"]["eventType"] == "Create"
    video = by_domain["rcv"]
    assert "!" in video["sourceRecordId"]
    assert video["sourceRecordId"] == video["sourceSessionId"]
    assert not {"callDirection", "ownerExtensionId", "recordingDurationMs"} & set(video)
    assert set(drawn.conversations).isdisjoint(drawn.recordings)


def test_a_kind_has_happened_only_once_a_client_has_met_it() -> None:
    drawn = company("call-log:rewritten,http:audio-gone,events:delayed")
    assert {(one.name, one.happened) for one in tally_of(drawn)} == {
        ("call-log:rewritten", 0),
        ("http:audio-gone", 0),
        ("events:delayed", 0),
    }
    odd = {one.name: one.of for one in drawn.oddities}
    call, recording, event = odd["call-log:rewritten"], odd["http:audio-gone"], odd["events:delayed"]
    assert isinstance(call, Call)
    assert isinstance(recording, Recording)
    assert isinstance(event, InsightEvent)
    renderer = Renderer("1", "", "")
    renderer.record(call, call.revisions[0], detailed=True)
    assert not any(one.happened for one in tally_of(drawn)), "a version from before it was rewritten shows nothing"
    renderer.record(call, call.revisions[-1], detailed=True)
    recording.asked_when_gone, event.tries = True, 1
    assert [one.happened for one in tally_of(drawn)] == [1, 1, 1]


def test_every_kind_that_was_chosen_is_counted() -> None:
    counted = {one.name: one for one in tally_of(company("storm"))}
    assert set(counted) == set(WRINKLES)
    assert all(one.planned >= 2 for one in counted.values())


def test_an_event_with_nulls_keeps_its_ids_and_insights() -> None:
    drawn = company("")
    plain = event_body(drawn, drawn.events[0])
    with_nulls = event_body(drawn, replace(drawn.events[0], nulls=True))
    assert with_nulls["title"] is with_nulls["ownerExtensionId"] is None
    for name in ("sourceRecordId", "domain", "insights", "lastModifiedTime"):
        assert with_nulls[name] == plain[name]


def test_an_unknown_kind_has_something_to_say() -> None:
    drawn = company("")
    event = replace(drawn.events[0], kinds=(UNKNOWN_KIND,))
    assert event_body(drawn, event)["insights"][UNKNOWN_KIND][0]["value"]


def test_the_neighbour_has_another_account_and_nothing_in_common() -> None:
    own, other = company(""), draw_neighbour(OPTIONS, 0.0)
    assert other.account_id != own.account_id
    assert other.events
    assert set(other.recordings).isdisjoint(own.recordings)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (SimulatorOptions(without_extract_sync=500), "403 or 404"),
        (SimulatorOptions(fault_rate=0), "fault_rate"),
        (SimulatorOptions(largest_page=1001), "largest_page"),
        (SimulatorOptions(largest_page=0), "largest_page"),
        (SimulatorOptions(call_log_order="random"), "newest, oldest, any"),
        (SimulatorOptions(jwt="a,b", users_of_jwts="0"), "one user per JWT"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: SimulatorOptions, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        options.check()
