"""The drawn company: reproducible, complete, and within its time."""

import re

import pytest

from simulator.company import Company
from simulator.drawing import draw_company
from simulator.insights import event_body, resource
from simulator.options import SimulatorOptions, read_options


def company(**choices: object) -> Company:
    return draw_company(SimulatorOptions(**choices), 0.0)[0]  # type: ignore[arg-type]  # any choice may be given.


def test_the_same_seed_draws_the_same_company() -> None:
    first, again = company(seed=3, recordings=60), company(seed=3, recordings=60)
    assert first.calls == again.calls
    assert first.events == again.events


def test_another_seed_draws_another_company() -> None:
    assert company(seed=3, recordings=20).calls != company(seed=4, recordings=20).calls


@pytest.mark.parametrize("recordings", [0, 1, 2, 7, 220])
def test_a_company_makes_exactly_as_many_recordings_as_asked_for(recordings: int) -> None:
    assert len(company(recordings=recordings).recordings) == recordings


def test_every_kind_of_call_happens() -> None:
    drawn = company()
    sessions = [call.telephony_session_id for call in drawn.calls]
    assert any(not call.recordings() and not call.short_recording for call in drawn.calls)
    assert any(call.short_recording for call in drawn.calls)
    assert any(call.leg_recording for call in drawn.calls)
    assert any(call.ai_notes for call in drawn.calls)
    assert any(call.queue and len(call.revisions) == 2 for call in drawn.calls)
    assert any(not call.queue and len(call.revisions) == 2 for call in drawn.calls)
    assert len(sessions) > len(set(sessions)), "a transfer has two records of one session"


def test_everything_has_happened_within_an_hour() -> None:
    drawn = company()
    assert max(call.ended_at for call in drawn.calls) <= 1500
    assert drawn.last_moment < 3600


def test_about_85_percent_of_recordings_get_insights() -> None:
    drawn = company(recordings=600, extensions=40)
    share = sum(bool(drawn.events_by_recording.get(id_)) for id_ in drawn.recordings) / 600
    assert 0.78 < share < 0.92


def test_a_call_with_notes_has_two_events_of_one_record_that_differ() -> None:
    drawn = company()
    double = next(events for events in drawn.events_by_recording.values() if len(events) == 2)
    notes, rest = (event_body(drawn, event) for event in double)
    assert set(notes["insights"]) == {"CallNotes"}
    assert "CallNotes" not in rest["insights"]
    assert notes["sourceRecordId"] == rest["sourceRecordId"]
    assert notes["lastModifiedTime"] < rest["lastModifiedTime"]
    assert double[0].uuid != double[1].uuid


def test_both_spellings_of_highlights_occur_in_events_and_one_in_the_resource() -> None:
    drawn = company()
    kinds = {kind for event in drawn.events for kind in event_body(drawn, event)["insights"]}
    assert {"Highlights", "HighLights"} <= kinds
    event = next(event for event in drawn.events if event.old_spelling and "Highlights" in event.kinds)
    shown = resource(drawn, event.recording, drawn.last_moment, [])
    assert shown is not None
    assert "Highlights" in shown["insights"]


def test_there_is_no_insights_resource_before_the_first_event() -> None:
    drawn = company(recordings=10)
    event = drawn.events[0]
    first = drawn.events_by_recording[event.recording.id][0]
    assert resource(drawn, event.recording, first.at - 1, []) is None


def test_external_speakers_have_neither_account_nor_extension() -> None:
    drawn = company(recordings=10)
    own, other = event_body(drawn, drawn.events[0])["speakerInfo"]
    assert own["accountId"] == drawn.account_id
    assert (other["accountId"], other["extensionId"]) == (None, None)


def test_every_number_is_reserved_for_fiction() -> None:
    drawn = company()
    numbers = [call.other_number for call in drawn.calls] + [one.phone_number for one in drawn.extensions]
    assert all(re.fullmatch(r"\+1\d{3}55501\d\d", number) for number in numbers)


def test_options_come_from_arguments_then_from_the_environment() -> None:
    options = read_options(["--seed", "9", "--users-of-jwts", "0,0", "--jwt", "a,b"], {"SIMULATOR_RECORDINGS": "5"})
    assert (options.seed, options.recordings, options.speed) == (9, 5, 60.0)
    assert options.jwts() == {"a": 0, "b": 0}
