"""What counts as an event of our account."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook.answers import Outcome, Refused
from services.webhook.envelope import Envelope, read_envelope

OURS = "4711"


def refusal(raw: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_envelope(raw, OURS)
    return caught.value


def envelope(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_an_insights_event_of_our_account_is_recognised(insights_event: Mapping[str, Any]) -> None:
    read = read_envelope(json.dumps(insights_event).encode(), OURS)

    assert read == Envelope(uuid=insights_event["uuid"], is_insights=True)


@pytest.mark.parametrize("domain", ["pbx", "rcv", "rcx", "ms-teams", "nice-incontact", "one-of-tomorrow"])
def test_insights_of_every_domain_count(domain: str) -> None:
    path = f"/ai/ringsense/v1/public/accounts/{OURS}/domains/{domain}/insights"

    assert read_envelope(envelope(event=path, body={}), OURS).is_insights


@pytest.mark.parametrize(
    "path",
    [
        f"/ai/ringsense/v2/public/accounts/{OURS}/domains/pbx/insights",
        f"/ai/ringsense/v1/public/accounts/{OURS}/domains/pbx/insights/",
        f"/ai/ringsense/v1/public/accounts/{OURS}/domains/pbx/insights?notes=true",
        f"/ai/ringsense/v1/public/accounts/{OURS}/domains/pbx/records/1/insights",
        f"/ai/ringsense/v3/accounts/{OURS}",
        f"/ai/ringsense/accounts/{OURS}/",
    ],
)
@pytest.mark.parametrize("rest", [{"body": {}}, {"body": []}, {"body": None}, {}])
def test_insights_in_a_shape_of_tomorrow_count_too(path: str, rest: Mapping[str, Any]) -> None:
    assert read_envelope(envelope(event=path, **rest), OURS).is_insights


@pytest.mark.parametrize("twice", [b'"uuid": "1"', b'"body": {"x": 1, "x": 2}'])
def test_a_key_that_comes_twice_is_json_and_genuine(twice: bytes) -> None:
    path = b"/ai/ringsense/v1/public/accounts/4711/domains/pbx/insights"

    assert read_envelope(b'{"event": "%b", "uuid": "1", "body": {}, %b}' % (path, twice), OURS).is_insights


@pytest.mark.parametrize(
    "path",
    [
        "/restapi/v1.0/subscription/~?threshold=259200&interval=43200",
        f"/restapi/v1.0/account/{OURS}/extension/1/telephony/sessions",
        "/restapi/v1.0/account/~/presence",
        "/something/of/tomorrow",
        f"/ai/ringsense-of-tomorrow/accounts/{OURS}",
        "/ai/ringsense/v2/public/domains/pbx/insights",
    ],
)
def test_a_genuine_event_about_something_else_is_accepted_but_not_about_insights(path: str) -> None:
    assert not read_envelope(envelope(event=path, body={"expiresIn": 1}), OURS).is_insights


@pytest.mark.parametrize(
    "path",
    [
        "/ai/ringsense/v1/public/accounts/4712/domains/pbx/insights",
        "/ai/ringsense/v1/public/accounts/47110/domains/pbx/insights",
        "/ai/ringsense/v1/public/accounts/~/domains/pbx/insights",
        "/ai/ringsense/v2/public/accounts/4712/domains/pbx/insights/",
        "/ai/ringsense/v2/accounts/4712/accounts/4711",
        "/restapi/v1.0/account/1/extension/4711/telephony/sessions",
        "/restapi/v1.0/account/1/x?a=/account/4711/",
    ],
)
def test_an_event_of_another_account_is_refused(path: str) -> None:
    assert refusal(envelope(event=path, ownerId=OURS, body={})).outcome is Outcome.WRONG_ACCOUNT


def test_the_owner_is_an_extension_and_never_taken_for_the_account(insights_event: Mapping[str, Any]) -> None:
    event = {**insights_event, "ownerId": "1", "body": {"accountId": "1"}}

    assert read_envelope(json.dumps(event).encode(), OURS).is_insights


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"event": ', "not JSON"),
        (b'\xef\xbb\xbf{"event": "/a"}', "not JSON"),
        (b'{"event": "/a\xff"}', "not UTF-8"),
        ('{"event": "/a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"event": "/a", "b": "\xed\xa0\x80"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"event": "/a", "b": NaN}', "number that is none"),
        (b'{"event": "/a", "b": -Infinity}', "number that is none"),
        (b'{"event": "/a", "b": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "no event path"),
        (b"null", "no event path"),
        (b'"/a"', "no event path"),
        (b"{}", "no event path"),
        (b'{"event": 1}', "no event path"),
        (b'{"event": "insights"}', "no event path"),
    ],
)
def test_what_is_no_envelope_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    refused = refusal(raw)

    assert refused.outcome is Outcome.MALFORMED
    assert reason in refused.reason


@pytest.mark.parametrize("text", [b"\\u0000", b"\\ud800", b"\\udc00\\ud800"])
def test_text_that_postgres_cannot_hold_is_genuine(text: bytes) -> None:
    raw = b'{"event": "/ai/ringsense/v1/public/accounts/4711/domains/pbx/insights", "body": {"title": "%b"}}' % text

    assert read_envelope(raw, OURS).is_insights


@pytest.mark.parametrize(
    ("uuid", "shown"), [("a b\n", "a?b?"), ("x" * 100, "x" * 64), (7, ""), (None, ""), ("\ud800", "?")]
)
def test_the_uuid_that_is_logged_is_short_and_harmless(uuid: object, shown: str) -> None:
    assert read_envelope(envelope(uuid=uuid, event="/a"), OURS).uuid == shown


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_read_or_refused_and_never_fail(raw: bytes) -> None:
    try:
        read_envelope(raw, OURS)
    except Refused as refused:
        assert refused.outcome in {Outcome.MALFORMED, Outcome.WRONG_ACCOUNT}  # noqa: PT017 - both ends are right
