"""Foreign JSON: strict as JSON, tolerant as data."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plain_json import NotJson, read_json, storable, text_of, time_of, whole_number_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet=st.characters()), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"NaN", "it is not JSON"),
        (b'{"a": Infinity}', "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"1" * 10_000, "it is not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(NotJson, match=reason):
        read_json(raw)


@given(VALUES)
def test_what_is_storable_is_left_alone_and_the_rest_is_made_so(value: Any) -> None:
    clean = storable(value)

    assert storable(clean) is clean
    text = json.dumps(clean, ensure_ascii=False)
    assert "\x00" not in text
    text.encode()


@pytest.mark.parametrize("text", ["[", '{"a":'])
@pytest.mark.parametrize(("levels", "taken"), [(100, True), (101, False), (480, False), (900, False)])
def test_what_is_nested_deeper_than_can_be_handled_is_not_taken(text: str, levels: int, taken: bool) -> None:
    value = json.loads(text * levels + "1" + {"[": "]", '{"a":': "}"}[text] * levels)

    if taken:
        assert storable(value) is value
    else:
        with pytest.raises(NotJson, match="too deeply"):
            storable(value)


def test_times_are_read_with_and_without_an_offset() -> None:
    assert time_of("2026-01-01T10:00:00.5Z") == datetime(2026, 1, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert time_of("2026-01-01T10:00:00") == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert time_of("2026-01-01T12:00:00+02:00") == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert time_of("yesterday") is None
    assert time_of(7) is None
    assert time_of("0001-01-01T00:00:00+14:00") is None


def test_ids_are_read_as_text_and_lengths_as_whole_numbers() -> None:
    assert (text_of(7), text_of("x"), text_of(""), text_of(True), text_of([])) == ("7", "x", None, None, None)
    assert (whole_number_of(3.7), whole_number_of(-1), whole_number_of("3"), whole_number_of(2**63)) == (
        3,
        None,
        None,
        None,
    )
