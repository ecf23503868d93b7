"""Who may send events, and what a handshake gets back."""

import pytest
from multidict import CIMultiDict

from services.webhook.answers import Outcome, Refused
from services.webhook.authenticity import demand_token, echo_of

TOKENS = ("new-token", "old-token")


@pytest.mark.parametrize("header", ["Verification-Token", "Validation-Token", "verification-token"])
@pytest.mark.parametrize("token", TOKENS)
def test_each_of_our_tokens_is_accepted_in_either_header(header: str, token: str) -> None:
    demand_token(CIMultiDict({header: token}), TOKENS)


def test_without_a_token_of_ours_everyone_may_pass() -> None:
    demand_token(CIMultiDict(), ())


def test_one_right_token_among_several_headers_is_enough() -> None:
    demand_token(CIMultiDict([("Validation-Token", "challenge"), ("Verification-Token", "old-token")]), TOKENS)


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, Outcome.TOKEN_MISSING),
        ({"Authorization": "new-token"}, Outcome.TOKEN_MISSING),
        ({"Verification-Token": "new-toke"}, Outcome.TOKEN_WRONG),
        ({"Verification-Token": ""}, Outcome.TOKEN_WRONG),
        ({"Verification-Token": "new-token,old-token"}, Outcome.TOKEN_WRONG),
        ({"Validation-Token": "n\udcffw"}, Outcome.TOKEN_WRONG),
    ],
)
def test_a_missing_and_a_wrong_token_are_told_apart(headers: dict[str, str], outcome: Outcome) -> None:
    with pytest.raises(Refused) as caught:
        demand_token(CIMultiDict(headers), TOKENS)

    assert caught.value.outcome is outcome
    assert "new-token" not in caught.value.reason


@pytest.mark.parametrize("token", ["x", "e3e5-46a1", "a b", "x" * 512])
def test_a_plain_token_is_echoed(token: str) -> None:
    assert echo_of(CIMultiDict({"Validation-Token": token})) == token


@pytest.mark.parametrize("token", ["", " ", "x" * 513, "caf\xe9", "a\r\nSet-Cookie: b", "\udcff"])
def test_a_token_that_cannot_be_sent_back_is_not_echoed(token: str) -> None:
    assert echo_of(CIMultiDict({"Validation-Token": token})) is None
