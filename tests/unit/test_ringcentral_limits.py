"""What the headers tell about the rate limit, and what they do not."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.limits import Limit, limit_of, of_another_limiter, penalty_of


def told(**headers: str) -> httpx.Headers:
    """`limit="10"` stands for `X-Rate-Limit-Limit: 10`."""
    return httpx.Headers({f"X-Rate-Limit-{name.title()}": value for name, value in headers.items()})


def test_the_headers_tell_number_length_and_rest() -> None:
    assert limit_of(told(group="heavy", limit="10", window="60", remaining="7"), "heavy") == Limit(10, 60.0, 7)


def test_the_group_is_read_in_any_case() -> None:
    assert limit_of(told(group="Heavy", limit="10", window="60"), "heavy") == Limit(10, 60.0, 9)


def test_the_limit_of_another_group_is_not_learnt() -> None:
    assert limit_of(told(group="light", limit="50", window="60"), "heavy") is None


def test_a_limit_without_a_group_is_that_of_the_request() -> None:
    assert limit_of(told(limit="50", window="60", remaining="0"), "light") == Limit(50, 60.0, 0)


@pytest.mark.parametrize("limit", ["0", "-3", "ten", "", "1000000"])
def test_a_limit_that_is_nonsense_is_not_learnt(limit: str) -> None:
    assert limit_of(told(limit=limit, window="60"), "heavy") is None


@pytest.mark.parametrize("window", ["0", "-60", "nan", "inf", "a minute", "1e9"])
def test_a_window_that_is_nonsense_is_not_learnt(window: str) -> None:
    assert limit_of(told(limit="10", window=window), "heavy") is None


@given(
    st.dictionaries(st.sampled_from(["limit", "window", "remaining", "group"]), st.text(st.characters(codec="ascii")))
)
def test_no_headers_whatever_make_trouble(headers: dict[str, str]) -> None:
    values = {f"x-rate-limit-{name}": value for name, value in headers.items()}
    found = limit_of(values, "heavy")
    assert found is None or (found.slots > 0 and found.window > 0 and found.remaining >= 0)
    assert 1 <= penalty_of(values) <= 24 * 3600


def test_a_429_without_limit_headers_is_of_another_limiter() -> None:
    assert of_another_limiter(httpx.Headers({"Retry-After": "30"}))
    assert not of_another_limiter(told(group="heavy"))


def test_a_penalty_lasts_as_long_as_it_says_else_a_window_else_half_a_minute() -> None:
    assert penalty_of(httpx.Headers({"Retry-After": "42", "X-Rate-Limit-Window": "60"})) == 42
    assert penalty_of(told(window="60")) == 60
    assert penalty_of(httpx.Headers()) == 30


def test_a_penalty_of_nothing_still_closes_for_a_moment() -> None:
    assert penalty_of(httpx.Headers({"Retry-After": "0"})) == 1
