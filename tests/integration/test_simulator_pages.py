"""The simulator over real sockets: the pages of the call log, in any order, and how they move while they are read."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from simulator.options import ORDERS
from tests.integration.test_simulator_support import ACCOUNT, signed_in

LIST = f"{ACCOUNT}/call-log?perPage=1000&dateFrom=2020-01-01T00:00:00Z&dateTo=2099-01-01T00:00:00Z&page="


@pytest.fixture(params=ORDERS)
async def simulator(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """A company whose calls are all in the past, and pages of ten records at most."""
    options = SimulatorOptions(
        recordings=40, speed=100, history=4000, elapsed=4000, largest_page=10, call_log_order=request.param
    )
    async with Simulator(options) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(simulator) as client:
        await client.post("/simulator/limits", json={"heavy": 1000})
        yield client


async def page(http: httpx.AsyncClient, number: int) -> dict[str, Any]:
    answer = await http.get(f"{LIST}{number}")
    assert answer.status_code == 200
    return dict(answer.json())


async def all_pages(http: httpx.AsyncClient) -> list[list[str]]:
    """Ids, page by page, as a client reads them that follows the link to the next one."""
    pages: list[list[str]] = []
    more = True
    while more:
        body = await page(http, len(pages) + 1)
        pages.append([one["id"] for one in body["records"]])
        more = "nextPage" in body["navigation"]
    return pages


async def test_no_page_is_larger_than_the_largest_and_together_they_hold_everything_once(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    pages = await all_pages(http)
    assert {len(ids) for ids in pages[:-1]} == {10}
    read = [id_ for ids in pages for id_ in ids]
    assert sorted(read) == sorted(simulator.world.company.calls_by_id)
    assert (await page(http, 1))["paging"]["perPage"] == 10


async def test_the_order_of_the_list_is_the_one_that_was_chosen(simulator: Simulator, http: httpx.AsyncClient) -> None:
    calls = simulator.world.company.calls_by_id
    started = [calls[id_].started_at for ids in await all_pages(http) for id_ in ids]
    order = simulator.options.call_log_order
    assert (started == sorted(started)) is (order == "oldest")
    assert (started == sorted(started, reverse=True)) is (order == "newest")


async def test_a_record_that_vanishes_makes_who_reads_on_skip_one(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    before = await all_pages(http)
    order = {"endpoint": "call_log.list", "kind": "shift", "vanish": True, "match": "page=2"}
    assert (await http.post("/simulator/faults", json=order)).status_code == 200
    read = await all_pages(http)
    assert read[0] == before[0]
    assert read[1][0] == before[1][1], "the first record of the second page has moved to the first one"
    gone = set(before[0]) - set((await all_pages(http))[0])
    (deleted,) = gone
    calls = simulator.world.company.calls_by_id
    assert calls[deleted].revisions[-1].deleted
    recorded = [bool(calls[id_].recordings()) for id_ in before[0]]
    assert bool(calls[deleted].recordings()) is all(recorded), "one without a recording, if there is any"


async def test_a_record_that_appears_is_at_the_begin_of_the_list(simulator: Simulator, http: httpx.AsyncClient) -> None:
    before = await all_pages(http)
    await http.post("/simulator/faults", json={"endpoint": "call_log.list", "kind": "shift", "match": "page=2"})
    read = await all_pages(http)
    assert len(simulator.world.company.calls) == sum(map(len, before)) + 1
    if simulator.options.call_log_order != "any":
        assert read[1][0] == before[0][-1], "the last record of the first page is read once more"


async def test_pages_of_the_sync_endpoint_are_no_larger_either(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{ACCOUNT}/call-log-extract-sync?recordCount=1000&dateFrom=2020-01-01T00:00:00Z")
    body = answer.json()
    assert len(body["records"]) == 10
    assert body["syncInfo"]["newerRecordsExist"] is True


async def test_a_fault_of_the_seed_that_met_nothing_but_a_refusal_is_still_to_come() -> None:
    options = SimulatorOptions(
        recordings=10, history=4000, elapsed=4000, faults="http:cut", fault_rate=1, fault_times=1
    )
    async with Simulator(options) as running, signed_in(running) as client:
        await client.post("/simulator/limits", json={"heavy": 1000})
        for _ in range(30):
            assert (await client.get(f"{ACCOUNT}/recording/1/content")).status_code == 404
        rows = (await client.get("/simulator/counts")).json()["by_seed"]
    (row,) = [one for one in rows if one["place"] == "recording.content"]
    assert (row["planned"], row["happened"], row["left"]) == (1, 0, 1)
