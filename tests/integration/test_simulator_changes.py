"""The simulator over real sockets: records and recordings that change, and events that do not come as they should."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import ACCOUNT, Receiver, codes, signed_in, subscribe

#: a delayed event comes after 0.3 s.
SPEED = 3000.0
PBX = "/ai/ringsense/v1/public/accounts/~/domains"
EVERYTHING = f"{ACCOUNT}/call-log?perPage=max&dateFrom=2020-01-01T00:00:00Z&view=Detailed"
SYNC = f"{ACCOUNT}/call-log-extract-sync"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(recordings=10, speed=SPEED, history=4000, elapsed=4000)) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(simulator) as client:
        await client.post("/simulator/limits", json={"heavy": 1000})
        yield client


async def ordered(http: httpx.AsyncClient, path: str, **order: Any) -> dict[str, Any]:
    answer = await http.post(f"/simulator/{path}", json=order)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def listed(http: httpx.AsyncClient, query: str = "") -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in (await http.get(f"{EVERYTHING}{query}")).json()["records"]}


async def truth_of(http: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    recordings = (await http.get("/simulator/truth")).json()["recordings"]
    return dict(next(one for one in recordings if one["id"] == id_))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def call_that_ended(http: httpx.AsyncClient, **order: Any) -> dict[str, Any]:
    made = await ordered(http, "calls", appears_after=0, audio_after=0, insights_after=None, **order)
    return dict(made["calls"][0])


async def test_retention_takes_the_audio_and_the_call_log_goes_on_listing_it(http: httpx.AsyncClient) -> None:
    call = await call_that_ended(http)
    (id_,) = call["recordings"]
    assert (await truth_of(http, id_))["obtainable"] is True
    await ordered(http, "recordings/expire", recording_id=id_)
    for path in ("", "/content"):
        assert codes(await http.get(f"{ACCOUNT}/recording/{id_}{path}")) == (404, "CMN-102", "CMN-102")
    assert (await listed(http))[call["id"]]["recording"]["id"] == id_
    told = await truth_of(http, id_)
    assert (told["obtainable"], told["why_not"], told["listed"]) == (False, "audio deleted by retention", True)


async def test_a_removed_recording_is_gone_from_its_record_too(http: httpx.AsyncClient) -> None:
    call = await call_that_ended(http)
    (id_,) = call["recordings"]
    await ordered(http, "recordings/expire", recording_id=id_, remove=True)
    assert "recording" not in (await listed(http))[call["id"]]
    told = await truth_of(http, id_)
    assert (told["obtainable"], told["why_not"], told["listed"]) == (False, "removed from the call log", False)
    again = await http.post("/simulator/recordings/expire", json={"recording_id": id_})
    assert again.status_code == 400


async def test_a_deleted_record_is_shown_as_deleted_to_who_asks_for_it(http: httpx.AsyncClient) -> None:
    call = await call_that_ended(http)
    first = (await http.get(f"{SYNC}?syncType=FSync&dateFrom=2020-01-01T00:00:00Z")).json()["syncInfo"]
    await ordered(http, "calls/delete", id=call["id"])
    assert call["id"] not in await listed(http)
    assert (await listed(http, "&showDeleted=true"))[call["id"]]["deleted"] is True
    changed = (await http.get(f"{SYNC}?syncType=ISync&syncToken={first['syncToken']}")).json()["records"]
    assert [(one["id"], one["deleted"]) for one in changed] == [(call["id"], True)]
    full = (await http.get(f"{SYNC}?syncType=FSync&dateFrom=2020-01-01T00:00:00Z")).json()["records"]
    assert call["id"] not in {one["id"] for one in full}
    told = (await http.get("/simulator/truth")).json()
    assert told["deleted_calls"] == [call["id"]]
    unknown = await http.post("/simulator/calls/delete", json={"id": "unknown"})
    assert "no such call" in unknown.json()["error"]


async def test_a_record_is_written_again_as_ordered_and_synchronised_again(http: httpx.AsyncClient) -> None:
    call = await call_that_ended(http)
    first = (await http.get(f"{SYNC}?syncType=FSync&dateFrom=2020-01-01T00:00:00Z")).json()["syncInfo"]
    order = {"result": "Voicemail", "legs": 4, "with_recording": False, "mask": True, "nulls": True}
    await ordered(http, "calls/rewrite", id=call["id"], **order)
    (record,) = (await http.get(f"{SYNC}?syncType=ISync&syncToken={first['syncToken']}&view=Detailed")).json()[
        "records"
    ]
    assert (record["result"], len(record["legs"])) == ("Voicemail", 4)
    assert "recording" not in record
    other = record["to"] if record["direction"] == "Outbound" else record["from"]
    assert other["phoneNumber"].endswith("XXXX")
    assert record["from"]["name"] is record["reason"] is None
    await ordered(http, "calls/rewrite", id=call["id"], with_recording=True)
    assert (await listed(http))[call["id"]]["recording"]["id"] == call["recordings"][0]
    wrong = await http.post("/simulator/calls/rewrite", json={"id": call["id"], "colour": "red"})
    assert "colour" in wrong.json()["error"]


@pytest.mark.parametrize(
    ("kind", "times", "uuids"),
    [("duplicated", 2, 1), ("copied", 2, 2), ("delayed", 1, 1), ("nulls", 1, 1), ("unknown-kind", 1, 1)],
)
async def test_an_event_comes_otherwise_than_planned(
    http: httpx.AsyncClient, receiver: Receiver, simulator: Simulator, kind: str, times: int, uuids: int
) -> None:
    await subscribe(http, receiver)
    await ordered(http, "events/faults", kind=kind)
    await ordered(http, "calls", insights_after=1)
    await receiver.until(lambda: len(receiver.events) == times)
    assert len({one["uuid"] for one in receiver.events}) == uuids
    body = receiver.events[0]["body"]
    assert (body["title"] is None) == (kind == "nulls")
    assert ("CoachingTips" in body["insights"]) == (kind == "unknown-kind")
    (event,) = [one for one in (await simulator.truth())["events"] if one["fault"]]
    async with asyncio.timeout(60):
        while len(event["bodies"]) < times:  # the last answer is still on its way.
            (event,) = [one for one in (await simulator.truth())["events"] if one["fault"]]
            await asyncio.sleep(0)
    assert (event["fault"], event["delivered"]) == (kind, True)
    assert event["bodies"] == [sha256(json.dumps(one)) for one in receiver.events]
    (told,) = [one["kinds"] for one in (await simulator.truth())["insights"] if one["record_id"] == event["record_id"]]
    sent = {kind.replace("HighL", "Highl"): value for kind, value in body["insights"].items()}
    canonical = {kind: json.dumps(value, sort_keys=True, separators=(",", ":")) for kind, value in sent.items()}
    assert {kind: fate["sha256"] for kind, fate in told.items()} == {
        kind: sha256(text) for kind, text in canonical.items()
    }
    assert (await http.get("/simulator/counts")).json()["event_faults"] == {kind: 1}


async def test_a_lost_event_is_never_sent_but_its_insights_can_be_asked_for(
    http: httpx.AsyncClient, receiver: Receiver, simulator: Simulator
) -> None:
    await subscribe(http, receiver)
    await ordered(http, "events/faults", kind="lost")
    (lost,) = (await ordered(http, "calls", insights_after=1))["calls"][0]["recordings"]
    # An event that must come later proves that the first one did not.
    (sent,) = (await ordered(http, "calls", insights_after=60))["calls"][0]["recordings"]
    await receiver.until(lambda: len(receiver.events) == 1)
    assert receiver.events[0]["body"]["sourceRecordId"] == sent
    insights = {one["record_id"]: one["kinds"] for one in (await simulator.truth())["insights"]}
    assert insights[lost]["Summary"] == {"delivered": False, "fetchable": True, "sha256": None}
    assert (insights[sent]["Summary"]["delivered"], insights[sent]["Summary"]["fetchable"]) == (True, True)
    assert (await http.get(f"{PBX}/pbx/records/{lost}/insights")).status_code == 200


async def test_the_second_event_of_a_call_overtakes_the_first(receiver: Receiver) -> None:
    options = SimulatorOptions(recordings=0, speed=1, history=4000, elapsed=4000)
    async with Simulator(options) as simulator, signed_in(simulator) as http:
        await subscribe(http, receiver)
        await ordered(http, "events/faults", kind="reordered")
        await ordered(http, "calls", notes_after=30, insights_after=300)
        await ordered(http, "clock", advance=301)  # both events are due; the first is put off.
        await receiver.until(lambda: len(receiver.events) == 1)
        await ordered(http, "clock", advance=600)
        await receiver.until(lambda: len(receiver.events) == 2)
    assert [list(one["body"]["insights"]) for one in receiver.events][1] == ["CallNotes"]
    assert receiver.events[1]["body"]["lastModifiedTime"] < receiver.events[0]["body"]["lastModifiedTime"]


async def test_an_unknown_fault_of_events_is_refused_with_the_list_of_kinds(http: httpx.AsyncClient) -> None:
    answer = await http.post("/simulator/events/faults", json={"kind": "eaten"})
    assert answer.status_code == 400
    assert "reordered" in answer.json()["error"]


@pytest.mark.parametrize("domain", ["rcv", "rcx", "ms-teams", "nice-incontact"])
async def test_a_conversation_of_another_domain_has_events_and_insights_but_no_recording(
    http: httpx.AsyncClient, receiver: Receiver, domain: str
) -> None:
    filters = [f"{PBX}/{domain}/insights"]
    await subscribe(http, receiver, eventFilters=filters)
    (id_,) = (await ordered(http, "conversations", domain=domain))["records"]
    await receiver.until(lambda: len(receiver.events) == 1)
    envelope = receiver.events[0]
    assert envelope["event"].endswith(f"/domains/{domain}/insights")
    assert (envelope["body"]["domain"], envelope["body"]["sourceRecordId"]) == (domain, id_)
    answer = await http.get(f"{PBX}/{domain}/records/{id_}/insights")
    assert answer.json()["insights"].keys() >= {"Transcript", "Summary"}
    session = await http.get(f"{PBX}/{domain}/sessions/{envelope['body']['sourceSessionId']}/insights")
    assert [one["sourceRecordId"] for one in session.json()["records"]] == [id_]
    assert (await http.get(f"{PBX}/pbx/records/{id_}/insights")).status_code == 404
    assert (await http.get(f"{ACCOUNT}/recording/{id_}/content")).status_code == 404


async def test_a_run_with_faults_of_events_tells_what_became_of_each(receiver: Receiver) -> None:
    # So slow that nothing happens between the subscription that is refused, and the next: time is advanced.
    options = SimulatorOptions(recordings=40, speed=100, begin_with_subscription=True, faults="events")
    async with Simulator(options) as simulator, signed_in(simulator) as http:
        for _ in range(10):  # one handshake may be refused, one subscription made without filters.
            made = (await subscribe(http, receiver, eventFilters=[f"{PBX}/pbx/insights", f"{PBX}/rcv/insights"])).json()
            if made.get("eventFilters"):
                break
        while not (await simulator.truth())["finished"]:
            await http.post("/simulator/clock", json={"advance": 60})
        await receiver.until(lambda: receiver.events != [])
        told = await simulator.truth()
    faults = {event["fault"] for event in told["events"] if event["fault"]}
    assert {"duplicated", "delayed", "reordered", "lost"} <= faults
    assert all(event["delivered"] is False for event in told["events"] if event["lost"])
    assert {one["domain"] for one in told["insights"]} == {"pbx", "rcv", "rcx", "ms-teams", "nice-incontact"}
    assert all(kind["fetchable"] for one in told["insights"] for kind in one["kinds"].values())
    assert any(told["foreign"]["account_id"] in one["event"] for one in receiver.events)
