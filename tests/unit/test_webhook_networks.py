"""Who is the sender: only what a proxy of ours has written is believed."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from services.webhook.answers import Outcome, Refused
from services.webhook.networks import demand_network

RINGCENTRAL = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
THEIRS, OURS, STRANGER = "192.0.2.7", "10.0.0.1", "203.0.113.9"


def is_allowed(peer: str | None, *forwarded: str) -> bool:
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    try:
        demand_network(peer, headers, RINGCENTRAL, PROXIES)
    except Refused as refused:
        return refused.outcome is not Outcome.WRONG_NETWORK
    return True


@pytest.mark.parametrize("peer", [STRANGER, THEIRS, OURS, None, ""])
def test_without_a_list_everyone_may_pass(peer: str | None) -> None:
    demand_network(peer, CIMultiDict(), [], PROXIES)


@pytest.mark.parametrize("peer", [THEIRS, "2001:db8::1", f"::ffff:{THEIRS}", "2001:db8::1%eth0"])
def test_whoever_asks_from_an_allowed_network_may_pass(peer: str) -> None:
    assert is_allowed(peer)


@pytest.mark.parametrize("peer", [STRANGER, "2001:db9::1", OURS, None, "", "unix:"])
def test_nobody_else_may(peer: str | None) -> None:
    assert not is_allowed(peer)


@pytest.mark.parametrize(
    "forwarded",
    [
        [THEIRS],
        [f"{STRANGER}, {THEIRS}"],  # the stranger is what the sender claims
        [STRANGER, THEIRS],
        [f"{THEIRS},{OURS}"],  # through two proxies of ours
        [THEIRS, OURS],
        [f"{THEIRS}:4711"],
        ["[2001:db8::1]:4711"],
        ["2001:db8::1"],
    ],
)
def test_behind_our_proxies_the_last_one_that_is_none_of_them_counts(forwarded: list[str]) -> None:
    assert is_allowed(OURS, *forwarded)


@pytest.mark.parametrize(
    "forwarded",
    [
        [STRANGER],
        [f"{THEIRS}, {STRANGER}"],  # what the stranger claims, and who he is
        [THEIRS, STRANGER],
        [f"{THEIRS},unknown"],
        [f"{THEIRS},"],
        [""],
        [OURS],
        ["Jane Doe"],
        [],
    ],
)
def test_behind_our_proxies_nobody_is_believed_who_says_that_he_is_somebody_else(forwarded: list[str]) -> None:
    assert not is_allowed(OURS, *forwarded)


def test_the_header_of_a_stranger_is_not_looked_at() -> None:
    assert not is_allowed(STRANGER, THEIRS)
    assert is_allowed(THEIRS, STRANGER)
