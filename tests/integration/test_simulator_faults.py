"""The simulator over real sockets: faults of requests, ordered one by one or by the seed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import (
    ACCOUNT,
    SUBSCRIPTION,
    codes,
    listening,
    sign_in,
    stop_time,
    subscribe,
    unlimited,
)

#: business seconds per real one: penalties last 0.6 s.
SPEED = 100.0
CALL_LOG = f"{ACCOUNT}/call-log?perPage=1"

Order = Callable[..., Awaitable[None]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    options = SimulatorOptions(recordings=40, speed=SPEED, history=4000, elapsed=4000, jwt="one,two")
    async with Simulator(options) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
        yield client


@pytest.fixture
def order(http: httpx.AsyncClient) -> Order:
    async def ordered(endpoint: str, kind: str, **parameters: Any) -> None:
        answer = await http.post("/simulator/faults", json={"endpoint": endpoint, "kind": kind, **parameters})
        assert answer.status_code == 200

    return ordered


async def counts(http: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await http.get("/simulator/counts")).json())


async def test_a_penalty_out_of_the_blue_is_a_trap_for_who_asks_on(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    let_pass = stop_time(simulator)
    token = await sign_in(http)
    await order("call_log.list", "penalty")
    first = await http.get(CALL_LOG, headers=token)
    assert codes(first) == (429, "CMN-301", "CMN-301")
    assert (first.headers["X-Rate-Limit-Group"], first.headers["Retry-After"]) == ("heavy", "1")
    let_pass(0.4)
    assert (await http.get(CALL_LOG, headers=token)).status_code == 429
    let_pass(0.4)
    assert (await http.get(CALL_LOG, headers=token)).status_code == 429, "asking restarted the penalty"
    assert (await http.get(ACCOUNT, headers=token)).status_code == 200, "another group is open"
    let_pass(0.65)
    assert (await http.get(CALL_LOG, headers=token)).status_code == 200
    told = await counts(http)
    refused = [told[name] for name in ("refused", "refused_over_limit", "refused_on_the_wire", "refused_later")]
    assert refused == [2, 0, 0, 2], "the injected one is no refusal but a fault"
    assert told["faults"] == {"call_log.list:penalty": 1}


async def test_requests_sent_together_with_the_one_that_is_refused_were_on_the_wire(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    stop_time(simulator)
    token = await sign_in(http)
    await order("call_log.list", "penalty")
    answers = await asyncio.gather(*(http.get(CALL_LOG, headers=token) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [429] * 4
    told = await counts(http)
    assert (told["refused"], told["refused_on_the_wire"], told["refused_later"]) == (3, 3, 0)


async def test_a_429_without_rate_limit_headers_can_be_about_everybody(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    let_pass = stop_time(simulator)
    one, two = await sign_in(http, "one"), await sign_in(http, "two")
    await order("call_log.list", "throttle_all", seconds=0.5)
    for path, token in ((CALL_LOG, one), (ACCOUNT, one), (ACCOUNT, two)):
        answer = await http.get(path, headers=token)
        assert (codes(answer)[1:], answer.headers["Retry-After"]) == (("CMN-310", "CMN-310"), "1")
        assert not [name for name in answer.headers if name.lower().startswith("x-rate-limit")]
    let_pass(0.55)
    assert (await http.get(ACCOUNT, headers=two)).status_code == 200


async def test_a_single_429_of_another_limiter_may_say_nothing_at_all(http: httpx.AsyncClient, order: Order) -> None:
    token = await sign_in(http)
    await order("account.get", "429", retry_after=None)
    answer = await http.get(ACCOUNT, headers=token)
    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers
    assert (await http.get(ACCOUNT, headers=token)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "code"), [("token_dropped", "OAU-213"), ("token_expired", "OAU-128"), ("sessions_taken", "OAU-213")]
)
async def test_a_token_ends_early_and_stays_ended(http: httpx.AsyncClient, order: Order, kind: str, code: str) -> None:
    token, other = await sign_in(http, "one"), await sign_in(http, "two")
    await order("account.get", kind)
    for _ in range(2):
        answer = await http.get(ACCOUNT, headers=token)
        assert (answer.status_code, codes(answer)[2]) == (401, code)
    assert (await http.get(ACCOUNT, headers=other)).status_code == 200
    assert (await http.get(ACCOUNT, headers=await sign_in(http, "one"))).status_code == 200


async def test_a_body_is_cut_without_a_length_in_chunks_or_with_the_connection(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    token = await sign_in(http)
    url = f"{ACCOUNT}/recording/{next(iter(simulator.world.company.recordings))}/content"
    await order("recording.content", "cut", length=False)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await http.get(url, headers=token)
    await order("recording.content", "cut_unframed", after_bytes=500)
    unframed = await http.get(url, headers=token)
    assert (unframed.status_code, len(unframed.content)) == (200, 500), "nothing but the content tells"
    assert not {"Content-Length", "Transfer-Encoding"} & set(unframed.headers)
    whole = await http.get(url, headers=token)
    assert whole.content.startswith(unframed.content)


async def test_the_bytes_that_were_sent_are_counted_also_those_before_a_cut(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    token = await sign_in(http)
    url = f"{ACCOUNT}/recording/{next(iter(simulator.world.company.recordings))}/content"
    await order("recording.content", "cut", after_bytes=700)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await http.get(url, headers=token)
    whole = await http.get(url, headers=token)

    counts = (await http.get("/simulator/counts")).json()

    assert counts["sent_bytes"]["recording.content"] == 700 + len(whole.content)


async def test_audio_that_is_there_can_seem_not_to_be_ready(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    token = await sign_in(http)
    await order("recording.content", "not_ready")
    url = f"{ACCOUNT}/recording/{next(iter(simulator.world.company.recordings))}/content"
    assert codes(await http.get(url, headers=token)) == (404, "CMN-102", "CMN-102")
    assert (await http.get(url, headers=token)).status_code == 200


async def test_a_rejected_sync_token_stays_rejected_until_a_full_sync(http: httpx.AsyncClient, order: Order) -> None:
    await unlimited(http)
    token = await sign_in(http)
    sync = f"{ACCOUNT}/call-log-extract-sync"

    async def asked(sync_token: str = "") -> httpx.Response:
        query = f"syncType=ISync&syncToken={sync_token}" if sync_token else "syncType=FSync"
        return await http.get(f"{sync}?{query}", headers=token)

    first = (await asked()).json()["syncInfo"]["syncToken"]
    await order("call_log.sync", "sync_rejected", code="CLG-104", match="syncToken=")
    assert codes(await asked(first)) == (400, "CLG-104", "CLG-104")
    assert codes(await asked(first)) == (400, "CLG-101", "CLG-101")
    second = (await asked()).json()["syncInfo"]["syncToken"]
    assert (await asked(second)).status_code == 200


@pytest.mark.parametrize(("status", "code"), [(404, "CMN-120"), (403, "CMN-109")])
async def test_an_account_can_be_without_the_sync_endpoint(http: httpx.AsyncClient, status: int, code: str) -> None:
    token = await sign_in(http)
    await http.post("/simulator/extract-sync", json={"status": status})
    answer = await http.get(f"{ACCOUNT}/call-log-extract-sync", headers=token)
    assert codes(answer) == (status, code, code)
    assert (await http.get(CALL_LOG, headers=token)).status_code == 200
    await http.post("/simulator/extract-sync", json={"status": 0})
    assert (await http.get(f"{ACCOUNT}/call-log-extract-sync", headers=token)).status_code == 200
    assert (await http.post("/simulator/extract-sync", json={"status": 500})).status_code == 400


async def test_the_sync_endpoint_is_away_for_a_while_with_a_token_or_without(
    simulator: Simulator, http: httpx.AsyncClient, order: Order
) -> None:
    await unlimited(http)
    token = await sign_in(http)
    sync = f"{ACCOUNT}/call-log-extract-sync"
    known = (await http.get(sync, headers=token)).json()["syncInfo"]["syncToken"]
    await order("call_log.sync", "sync_away", seconds=3600)
    for query in (f"?syncType=ISync&syncToken={known}", "", "?syncType=FSync"):
        assert codes(await http.get(sync + query, headers=token)) == (404, "CMN-120", "CMN-120")
    assert (await http.get(CALL_LOG, headers=token)).status_code == 200
    simulator.world.sync_away_until = simulator.world.clock.real()
    assert (await http.get(f"{sync}?syncType=ISync&syncToken={known}", headers=token)).status_code == 200


async def test_pages_shift_while_they_are_read(simulator: Simulator, http: httpx.AsyncClient, order: Order) -> None:
    token = await sign_in(http)
    end = "2099-01-01T00:00:00Z"
    url = f"{ACCOUNT}/call-log?perPage=5&dateFrom=2020-01-01T00:00:00Z&dateTo={end}&page="
    first = (await http.get(f"{url}1", headers=token)).json()["records"]
    calls = len(simulator.world.company.calls)
    await order("call_log.list", "shift", match="page=2")
    second = (await http.get(f"{url}2", headers=token)).json()["records"]
    assert second[0]["id"] == first[-1]["id"], "the last record of the first page has moved to the second one"
    assert len(simulator.world.company.calls) == calls + 1
    again = (await http.get(f"{url}1", headers=token)).json()["records"]
    assert [one["id"] for one in again[1:]] == [one["id"] for one in first[:-1]]
    assert "recording" not in again[0]


async def test_a_handshake_is_refused_though_nothing_is_wrong_with_the_address(
    http: httpx.AsyncClient, order: Order
) -> None:
    await unlimited(http)
    http.headers.update(await sign_in(http))
    async with listening() as receiver:
        await order("subscription.create", "unreachable")
        assert codes(await subscribe(http, receiver)) == (400, "SUB-521", "SUB-521")
        assert receiver.requests == 0
        assert (await subscribe(http, receiver)).status_code == 200


async def test_filters_are_disabled_until_they_are_asked_for_again(http: httpx.AsyncClient, order: Order) -> None:
    http.headers.update(await sign_in(http))
    async with listening() as receiver:
        await order("subscription.create", "disabled_filters")
        made = (await subscribe(http, receiver)).json()
        assert (made["status"], made["eventFilters"]) == ("Active", [])
        wanted = [one["filter"] for one in made["disabledFilters"]]
        assert len(wanted) == 1
        mended = await http.put(f"{SUBSCRIPTION}/{made['id']}", json={"eventFilters": wanted})
        assert "disabledFilters" not in mended.json()
        assert len(mended.json()["eventFilters"]) == 1


async def test_an_answer_that_never_comes_does_not_undo_what_was_done(http: httpx.AsyncClient, order: Order) -> None:
    http.headers.update(await sign_in(http))
    async with listening() as receiver:
        await order("subscription.create", "lost_answer")
        with pytest.raises(httpx.RemoteProtocolError):
            await subscribe(http, receiver)
        assert len((await http.get(SUBSCRIPTION)).json()["records"]) == 1
