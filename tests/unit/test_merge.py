"""One row, whatever the order of what arrives."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.merge import Known, Saying, combine, merge

TIMES = st.sampled_from(["", "2026-01-01T10:00:00.000000+00:00", "2026-01-01T10:00:05.000000+00:00", "2026-01-02"])
KINDS = st.sampled_from(["Transcript", "Summary", "Highlights", "HighLights", "CallNotes", "AnUnknownKind"])
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["a", "b", None]),
        "direction": st.sampled_from(["Inbound", "Outbound"]),
        "duration_ms": st.integers(0, 3),
        "audio_content_uri": st.sampled_from(["https://media.example/1", "https://media.example/2"]),
    },
)
SAYINGS = st.one_of(
    st.builds(Saying, st.just("call_log"), TIMES, FACTS),
    st.builds(
        Saying,
        st.just("insights"),
        TIMES,
        FACTS,
        st.dictionaries(KINDS, st.sampled_from([None, [], [{"value": "x"}], [{"value": "y"}]]), max_size=4),
    ),
)


def told(*sayings: Saying) -> Known:
    known = Known("pbx")
    for saying in sayings:
        known = merge(known, saying)
    return known


@given(st.lists(SAYINGS, max_size=7), st.randoms(use_true_random=False))
def test_any_order_and_repetition_gives_the_same_row(sayings: list[Saying], chance: random.Random) -> None:
    repeated = sayings + [chance.choice(sayings) for _ in sayings]
    chance.shuffle(repeated)

    assert told(*sayings) == told(*repeated)
    assert told(*sayings).facts() == told(*repeated).facts()


@given(st.lists(SAYINGS, max_size=5))
def test_saying_it_all_again_changes_nothing(sayings: list[Saying]) -> None:
    once = told(*sayings)

    assert told(*sayings, *sayings) == once


@given(st.lists(SAYINGS, max_size=5), st.lists(SAYINGS, max_size=5))
def test_two_rows_of_one_recording_combine_as_if_all_was_said_to_one(one: list[Saying], other: list[Saying]) -> None:
    assert combine(told(*one), told(*other)) == told(*one, *other) == combine(told(*other), told(*one))


def insights(modified: str, **kinds: Any) -> Saying:
    return Saying("insights", modified, {}, kinds)


def test_both_events_of_a_call_with_notes_give_every_kind() -> None:
    notes = insights("2026-01-01", CallNotes=[{"value": "n"}])
    full = insights("2026-01-02", Transcript=[{"text": "t"}], Summary=[{"value": "s"}])

    assert set(told(notes, full).insights) == set(told(full, notes).insights) == {"CallNotes", "Transcript", "Summary"}


def test_call_notes_alone_are_partial() -> None:
    assert told(insights("", CallNotes=[{"value": "n"}])).insights_state() == "partial"
    assert told(insights("", CallNotes=[{"value": "n"}], Summary=[])).insights_state() == "present"
    assert told().insights_state() == "absent"


def test_both_spellings_are_one_kind_and_the_newer_wins() -> None:
    known = told(insights("2026-01-02", HighLights=["new"]), insights("2026-01-01", Highlights=["old"]))

    assert known.insights == {"Highlights": ["new"]}


def test_a_kind_that_is_null_erases_nothing() -> None:
    known = told(insights("2026-01-01", Summary=["s"]), insights("2026-01-02", Summary=None))

    assert known.insights == {"Summary": ["s"]}


def test_the_call_log_is_believed_over_the_insights() -> None:
    known = told(
        Saying("call_log", "2026-01-01", {"direction": "Inbound", "from_name": None}),
        Saying("insights", "2026-01-09", {"direction": "Outbound", "from_name": "n", "title": "t"}),
    )

    facts = known.facts()

    assert (facts["direction"], facts["from_name"], facts["title"]) == ("Inbound", "n", "t")


def test_audio_begins_unknown_pending_or_unavailable() -> None:
    entry = Saying("call_log", "", {"audio_content_uri": "https://media.example/1"})

    assert told().audio_state() == "unknown"
    assert told(entry).audio_state() == "pending"
    assert Known("rcv").audio_state() == "unavailable"
