"""Every row of the receiver's table, from a request's head to its answer, without a socket."""

import asyncio
import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, cast

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from common.messages import InsightsReceived
from common.telemetry.metrics import REGISTRY
from services.webhook import receive
from services.webhook.answers import Outcome
from services.webhook.body import BODY_LIMIT
from services.webhook.connections import Connections
from services.webhook.endpoint import PATH
from services.webhook.keep import Circuit, Keeper
from services.webhook.receive import Admission, Receiver
from services.webhook.spool import Spool

TOKEN = "verification"


@pytest.fixture
def receiver(broker: Any, spool: Spool, clock: Any) -> Receiver:
    return Receiver("4711", Admission(tokens=[TOKEN]), Keeper(broker, spool, Circuit()), clock, Connections())


def request(
    body: bytes | None = b"",
    *,
    method: str = "POST",
    path: str = PATH,
    ends: bool = True,
    token: str | None = TOKEN,
    **headers: str,
) -> web.Request:
    """A request with its body, None for none at all; `ends=False`: more is said to come, and never does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named.setdefault("Content-Type", "application/json")
        named.setdefault("Content-Length", str(len(body)))
    if token is not None:
        named["Verification-Token"] = token
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    payload = StreamReader(protocol, 2 * BODY_LIMIT, loop=loop)
    payload.feed_data(body or b"")
    if ends:
        payload.feed_eof()
    return make_mocked_request(method, path, headers=named, payload=payload)


def reason_of(response: web.Response) -> str:
    return str(json.loads(cast("bytes", response.body))["error"])


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("ringvault_webhook_requests_total", {"outcome": outcome}) or 0.0


async def test_a_genuine_event_is_published_as_the_bytes_that_arrived(
    receiver: Receiver, broker: Any, clock: Any, insights_event: Mapping[str, Any]
) -> None:
    # Given an event with odd spacing, a NUL and half a surrogate pair
    raw = b'  {"title":"\\u0000 \\ud800",' + json.dumps(insights_event).encode()[1:] + b"\n"

    response = await receiver.handle(request(raw))

    assert response.status == 200
    [(queue, wire)] = broker.taken
    assert queue == "insights.received"
    assert InsightsReceived.from_wire(wire) == InsightsReceived(raw, "4711", clock.now())


async def test_a_handshake_is_echoed_without_token_broker_or_spool(
    receiver: Receiver, broker: Any, spool: Spool
) -> None:
    broker.goes_away()
    await spool.close()

    response = await receiver.handle(request(None, token=None, Validation_Token="challenge"))

    assert response.status == 200
    assert response.headers["Validation-Token"] == "challenge"
    assert response.headers["Content-Type"] == "application/json"
    assert not response.body


@pytest.mark.parametrize("token", ["x" * 2000, "caf\xe9"])
async def test_a_handshake_that_cannot_be_echoed_is_refused(receiver: Receiver, token: str) -> None:
    response = await receiver.handle(request(b"", token=None, Validation_Token=token))

    assert response.status == 400
    assert "Validation-Token" in reason_of(response)


async def test_an_event_with_a_challenge_is_echoed_and_kept(
    receiver: Receiver, broker: Any, insights_event: Mapping[str, Any]
) -> None:
    response = await receiver.handle(request(json.dumps(insights_event).encode(), Validation_Token="challenge"))

    assert response.status == 200
    assert response.headers["Validation-Token"] == "challenge"
    assert len(broker.taken) == 1


async def test_the_verification_token_may_come_as_validation_token(
    receiver: Receiver, broker: Any, insights_event: Mapping[str, Any]
) -> None:
    event = request(json.dumps(insights_event).encode(), token=None, Validation_Token=TOKEN)

    assert (await receiver.handle(event)).status == 200
    assert len(broker.taken) == 1


async def test_a_genuine_event_about_something_else_is_accepted_and_forgotten(
    receiver: Receiver, broker: Any, spool: Spool
) -> None:
    before = counted("ignored")
    raw = b'{"event": "/restapi/v1.0/subscription/~?threshold=60&interval=15", "body": {"expiresIn": 1}}'

    assert (await receiver.handle(request(raw))).status == 200

    assert broker.taken == []
    assert spool.events == 0
    assert counted("ignored") == before + 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_any_other_method_is_not_allowed(receiver: Receiver, method: str) -> None:
    response = await receiver.handle(request(None, method=method))

    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_another_media_type_is_refused(receiver: Receiver, media_type: str) -> None:
    assert (await receiver.handle(request(b"{}", Content_Type=media_type))).status == 415


async def test_a_charset_beside_the_media_type_does_not_matter(receiver: Receiver) -> None:
    event = request(b'{"event": "/a"}', Content_Type="application/json; charset=UTF-8")

    assert (await receiver.handle(event)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip", "x"])
async def test_a_compressed_body_is_refused_unread(receiver: Receiver, encoding: str) -> None:
    asked = request(b"\x1f\x8b", ends=False, Content_Encoding=encoding)

    response = await receiver.handle(asked)

    assert (response.status, response.headers["Accept-Encoding"]) == (415, "identity")
    assert await asked.content.readany() == b"\x1f\x8b"


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_a_body_that_is_said_to_be_as_it_is_is_read(receiver: Receiver, encoding: str) -> None:
    assert (await receiver.handle(request(b"{}", Content_Encoding=encoding))).status == 400


SECRET = "a-path-of-our-own"


@pytest.mark.parametrize(
    "path", [PATH, f"{PATH}/", f"{PATH}/{SECRET[:-1]}", f"{PATH}/{SECRET}/", f"/{SECRET}", "/", f"{PATH}/\ud800"]
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_with_a_secret_in_the_path_nothing_is_anywhere_else(
    broker: Any, spool: Spool, clock: Any, path: str, method: str
) -> None:
    keeper = Keeper(broker, spool, Circuit())
    receiver = Receiver("4711", Admission(f"{PATH}/{SECRET}", [TOKEN]), keeper, clock, Connections())

    with capture_logs() as logs:
        response = await receiver.handle(request(b"{}", method=method, path=path, Validation_Token="challenge"))

    assert response.status == 404
    assert "Validation-Token" not in response.headers
    assert SECRET not in reason_of(response) + repr(logs)


async def test_with_a_secret_in_the_path_a_handshake_and_an_event_are_answered_there(
    broker: Any, spool: Spool, clock: Any, insights_event: Mapping[str, Any]
) -> None:
    keeper = Keeper(broker, spool, Circuit())
    receiver = Receiver("4711", Admission(f"{PATH}/{SECRET}"), keeper, clock, Connections())

    with capture_logs() as logs:
        shake = await receiver.handle(request(None, path=f"{PATH}/{SECRET}", token=None, Validation_Token="e3e5"))
        event = await receiver.handle(request(json.dumps(insights_event).encode(), path=f"{PATH}/{SECRET}"))

    assert (shake.status, shake.headers["Validation-Token"], event.status) == (200, "e3e5", 200)
    assert SECRET not in repr(logs)
    assert SECRET not in repr(Admission(f"{PATH}/{SECRET}"))


async def test_a_sender_from_elsewhere_is_refused_unread_whatever_he_knows(
    broker: Any, spool: Spool, clock: Any, insights_event: Mapping[str, Any]
) -> None:
    admission = Admission(tokens=[TOKEN], networks=[ip_network("192.0.2.0/24")])
    receiver = Receiver("4711", admission, Keeper(broker, spool, Circuit()), clock, Connections())
    before = counted("wrong_network")

    response = await receiver.handle(request(json.dumps(insights_event).encode(), X_Forwarded_For="192.0.2.1"))

    assert response.status == 403
    assert counted("wrong_network") == before + 1
    assert broker.taken == []


async def test_a_body_that_is_declared_too_large_is_refused_unread(receiver: Receiver) -> None:
    declared = request(b"{", ends=False, Content_Length=str(BODY_LIMIT + 1))

    assert (await receiver.handle(declared)).status == 413


async def test_a_body_that_grows_too_large_is_refused_at_the_limit(receiver: Receiver) -> None:
    endless = request(None, ends=False, Content_Type="application/json", Transfer_Encoding="chunked")
    endless.content.feed_data(b" " * (BODY_LIMIT + 1))

    assert (await receiver.handle(endless)).status == 413


async def test_a_body_of_just_the_limit_is_read(receiver: Receiver, insights_event: Mapping[str, Any]) -> None:
    raw = json.dumps(insights_event).encode().ljust(BODY_LIMIT)

    assert (await receiver.handle(request(raw))).status == 200


async def test_a_body_that_does_not_come_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "ANSWER_WITHIN", 0.01)

    response = await receiver.handle(request(b'{"event"', ends=False, Content_Length="100"))

    assert response.status == 408


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        (b"{}", None, 401),
        (b"{}", "guessed", 403),
        (b"not JSON", "guessed", 403),
        (b"not JSON", TOKEN, 400),
        (b"", TOKEN, 400),
        (b"[]", TOKEN, 400),
        (b'{"event": "/ai/ringsense/v1/public/accounts/1/domains/pbx/insights", "body": {}}', TOKEN, 403),
    ],
)
async def test_what_is_not_for_us_is_refused_with_a_reason(
    receiver: Receiver, broker: Any, body: bytes, token: str | None, status: int
) -> None:
    response = await receiver.handle(request(body, token=token))

    assert response.status == status
    assert reason_of(response)
    assert broker.taken == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/json"])
@pytest.mark.parametrize("size", [2, BODY_LIMIT + 1])
@pytest.mark.parametrize("header", ["Validation_Token", "X_Other"])
async def test_a_stranger_learns_nothing_but_that_he_is_one(
    receiver: Receiver, media_type: str, size: int, header: str
) -> None:
    headers = {"Content_Type": media_type, "Content_Length": str(size), header: "guessed"}
    response = await receiver.handle(request(b"{}", method="POST", ends=True, token="guessed", **headers))

    assert response.status == 403
    assert "Validation-Token" not in response.headers


async def test_when_nothing_can_keep_an_event_the_sender_is_told_when_to_come_again(
    receiver: Receiver, broker: Any, spool: Spool, insights_event: Mapping[str, Any]
) -> None:
    broker.goes_away()
    await spool.close()

    with capture_logs() as logs:
        response = await receiver.handle(request(json.dumps(insights_event).encode()))

    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert [line["log_level"] for line in logs if line["event"] == "event_not_durable"] == ["error"]


async def test_a_fault_of_our_own_is_answered_and_logged_without_its_text(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("what the sender said")

    monkeypatch.setattr(receive, "read_envelope", fail)

    response = await receiver.handle(request(b"{}"))

    assert response.status == 500
    assert "what the sender said" not in reason_of(response)


async def test_an_accepted_event_has_one_line_and_a_flood_of_refusals_too(
    receiver: Receiver, insights_event: Mapping[str, Any]
) -> None:
    event = {**insights_event, "body": {"title": "Jane Doe and John Roe"}}

    with capture_logs() as logs:
        await receiver.handle(request(json.dumps(event).encode()))
        for _ in range(50):
            await receiver.handle(request(b"{}", token="Jane Doe"))

    assert [line["event"] for line in logs] == ["event_accepted", "requests_refused"]
    assert logs[0]["uuid"] == event["uuid"]
    assert "Jane" not in repr(logs)


async def test_every_outcome_is_one_of_the_closed_set(receiver: Receiver) -> None:
    before = counted("token_missing")

    await receiver.handle(request(b"{}", token=None))

    assert counted("token_missing") == before + 1
    labels = {
        sample.labels["outcome"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if family.name == "ringvault_webhook_requests"
    }
    assert labels <= {outcome.value for outcome in Outcome}
