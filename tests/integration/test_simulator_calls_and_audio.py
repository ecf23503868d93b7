"""The simulator over real sockets: call log, audio, insights, and what goes wrong with them on demand."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import ACCOUNT, codes, sign_in, unlimited

#: business seconds per real one: rate windows last 0.6 s, so that waiting for one is quick.
SPEED = 100.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A company whose calls are all in the past, its insights included."""
    options = SimulatorOptions(
        recordings=40, speed=SPEED, history=4000, elapsed=4000, jwt="one,two,second-of-two", users_of_jwts="0,1,1"
    )
    async with Simulator(options) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
        yield client


async def pages(http: httpx.AsyncClient, url: str, token: dict[str, str]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    while url:
        body = (await http.get(url, headers=token)).json()
        records += body["records"]
        url = body["navigation"].get("nextPage", {}).get("uri", "")
    return records


async def test_pages_of_the_call_log_hold_every_call_once_and_every_recording(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    await unlimited(http)
    token = await sign_in(http)
    records = await pages(http, f"{ACCOUNT}/call-log?perPage=7&view=Detailed", token)
    told = await simulator.truth()
    assert len({record["id"] for record in records}) == len(records) == told["calls"]
    holders = [*records, *(leg for record in records for leg in record["legs"])]
    assert {one["recording"]["id"] for one in holders if "recording" in one} == {
        one["id"] for one in told["recordings"]
    }
    assert all("legs" not in record for record in await pages(http, f"{ACCOUNT}/call-log", token))


async def test_each_address_has_the_moment_of_its_first_request(http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    moments = [time.time()]
    for page in (1, 2, 1):
        await http.get(f"{ACCOUNT}/call-log?page={page}", headers=token)
        moments.append(time.time())
    told = (await http.get("/simulator/requests/first")).json()["call_log.list"]
    first, second = told.pop(f"{ACCOUNT}/call-log?page=1"), told.pop(f"{ACCOUNT}/call-log?page=2")
    assert not told
    assert moments[0] <= first <= moments[1] <= second <= moments[2]


async def test_call_log_filters_narrow_the_list(http: httpx.AsyncClient) -> None:
    await unlimited(http)
    token = await sign_in(http)
    everything = await pages(http, f"{ACCOUNT}/call-log?perPage=max", token)
    inbound = await pages(http, f"{ACCOUNT}/call-log?direction=Inbound", token)
    recorded = await pages(http, f"{ACCOUNT}/call-log?recordingType=All", token)
    notes = await pages(http, f"{ACCOUNT}/call-log?metadataCategory=AiNotes", token)
    start = everything[10]["startTime"]
    later = await pages(http, f"{ACCOUNT}/call-log?dateFrom={start}", token)
    assert {one["direction"] for one in inbound} == {"Inbound"}
    assert all("recording" in one for one in recorded)
    assert [one["id"] for one in notes] == [one["id"] for one in everything if "metadataCategories" in one]
    assert {one["id"] for one in everything[:11]} <= {one["id"] for one in later}
    assert len(later) < len(everything)
    one = everything[0]
    assert [one["id"]] == [
        found["id"] for found in await pages(http, f"{ACCOUNT}/call-log?sessionId={one['sessionId']}", token)
    ]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("view=Full", "CMN-101"),
        ("page=0", "CMN-101"),
        ("dateFrom=yesterday", "CMN-101"),
        ("direction=Sideways", "CMN-101"),
        ("sessionId=1&direction=Inbound", "CLG-110"),
        ("phoneNumber=1&extensionNumber=2", "CMN-101"),
    ],
)
async def test_a_wrong_call_log_filter_is_refused(http: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await http.get(f"{ACCOUNT}/call-log?{query}", headers=await sign_in(http))
    assert (answer.status_code, answer.json()["errors"][0]["errorCode"]) == (400, code)


async def test_synchronisation_goes_on_from_its_token_until_the_token_is_rejected(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    await unlimited(http)
    token = await sign_in(http)
    sync = f"{ACCOUNT}/call-log-extract-sync"
    body = (await http.get(f"{sync}?recordCount=15&dateFrom=2020-01-01T00:00:00Z", headers=token)).json()
    ids = [record["id"] for record in body["records"]]
    while body["syncInfo"]["newerRecordsExist"]:
        query = f"syncType=ISync&syncToken={body['syncInfo']['syncToken']}"
        body = (await http.get(f"{sync}?{query}", headers=token)).json()
        ids += [record["id"] for record in body["records"]]
    assert sorted(ids) == sorted(call.id for call in simulator.world.company.calls)
    await http.post("/simulator/sync-tokens/reject")
    refused = await http.get(f"{sync}?syncType=ISync&syncToken={body['syncInfo']['syncToken']}", headers=token)
    assert codes(refused) == (400, "CLG-101", "CLG-101")


async def test_an_ordered_call_appears_and_can_be_fetched_by_id(http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    order = {"seconds": 45, "appears_after": 10, "audio_after": 3600, "insights_after": None}
    (call,) = (await http.post("/simulator/calls", json=order)).json()["calls"]
    await http.post("/simulator/clock", json={"advance": 10})
    record = (await http.get(f"{ACCOUNT}/call-log/{call['id']}", headers=token)).json()
    assert [record["recording"]["id"]] == call["recordings"]
    content = record["recording"]["contentUri"]
    assert codes(await http.get(content, headers=token)) == (404, "CMN-102", "CMN-102"), "the audio is not ready"
    several = await http.get(f"{ACCOUNT}/call-log/{call['id']},unknown", headers=token)
    assert several.status_code == 207
    assert several.headers["Content-Type"].startswith("multipart/mixed")


async def test_audio_is_what_the_truth_says_whole_and_in_ranges(simulator: Simulator, http: httpx.AsyncClient) -> None:
    await unlimited(http)
    token = await sign_in(http)
    for told in (await simulator.truth())["recordings"][:5]:
        url = f"{ACCOUNT}/recording/{told['id']}"
        metadata = (await http.get(url, headers=token)).json()
        whole = await http.get(metadata["contentUri"], headers=token)
        assert (len(whole.content), whole.headers["Content-Type"]) == (told["bytes"], told["content_type"])
        assert metadata["contentType"] == told["content_type"]
        assert "ETag" not in whole.headers
        for wanted, first, last in (
            ("10-19", 10, 19),
            ("1000-", 1000, told["bytes"] - 1),
            ("-5", told["bytes"] - 5, None),
        ):
            part = await http.get(f"{url}/content", headers={**token, "Range": f"bytes={wanted}"})
            assert part.status_code == 206
            assert part.content == whole.content[first : None if last is None else last + 1]
            assert part.headers["Content-Range"].endswith(f"/{told['bytes']}")
        beyond = await http.get(f"{url}/content", headers={**token, "Range": f"bytes={told['bytes']}-"})
        assert codes(beyond) == (416, "CMN-107", "CMN-107")


async def test_the_media_endpoint_takes_the_token_in_the_query(simulator: Simulator, http: httpx.AsyncClient) -> None:
    token = (await sign_in(http))["Authorization"].removeprefix("Bearer ")
    id_ = next(iter(simulator.world.company.recordings))
    answer = await http.get(f"{ACCOUNT}/recording/{id_}/content?access_token={token}&contentDisposition=Attachment")
    assert (answer.status_code, answer.headers["Content-Disposition"]) == (200, "attachment")


async def test_insights_are_had_by_record_and_by_session(simulator: Simulator, http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    recordings = (await simulator.truth())["recordings"]
    told = next(one for one in recordings if one["insight_kinds"])
    base = "/ai/ringsense/v1/public/accounts/~/domains/pbx"
    whole = (await http.get(f"{base}/records/{told['id']}/insights", headers=token)).json()
    assert sorted(whole["insights"]) == told["insight_kinds"]
    assert whole["recordingDurationMs"] == told["duration_ms"]
    part = await http.get(f"{base}/records/{told['id']}/insights?insightTypes=Summary,Highlights", headers=token)
    assert set(part.json()["insights"]) == {"Summary", "Highlights"}
    session = (await http.get(f"{base}/sessions/{told['telephony_session_id']}/insights", headers=token)).json()
    assert told["id"] in {record["sourceRecordId"] for record in session["records"]}
    without = next(one for one in recordings if not one["insight_kinds"])
    missing = await http.get(f"{base}/records/{without['id']}/insights", headers=token)
    assert codes(missing) == (404, "RAH-3001", "RAH-3001")
    await http.post("/simulator/permissions", json={"revoke": ["ReadRingSenseInsights"]})
    refused = await http.get(f"{base}/records/{told['id']}/insights", headers=token)
    assert codes(refused) == (403, "RAH-3005", "RAH-3005")


async def test_faults_happen_as_often_as_ordered_then_all_is_well(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    await unlimited(http)
    token = await sign_in(http)
    told = (await simulator.truth())["recordings"][0]
    url = f"{ACCOUNT}/recording/{told['id']}/content"

    async def fetch_with(kind: str, **parameters: object) -> httpx.Response:
        order = {"endpoint": "recording.content", "kind": kind, **parameters}
        assert (await http.post("/simulator/faults", json=order)).status_code == 200
        return await http.get(url, headers=token)

    assert (await fetch_with("status", status=502)).status_code == 502
    too_many = await fetch_with("429", retry_after=7)
    assert (too_many.status_code, too_many.headers["Retry-After"]) == (429, "7")
    assert "X-Rate-Limit-Group" not in too_many.headers
    assert (await fetch_with("json200")).headers["Content-Type"].startswith("application/json")
    assert (await fetch_with("wrong_type")).headers["Content-Type"] == "text/html"
    assert (await fetch_with("empty")).content == b""
    assert len((await fetch_with("truncated", bytes=77)).content) == 77
    assert (await fetch_with("redirect", location="http://127.0.0.1:9/")).headers["Location"] == "http://127.0.0.1:9/"
    assert (await fetch_with("body", text="<html>", content_type="text/html")).text == "<html>"
    assert len((await fetch_with("slow", bytes_per_second=10_000_000, seconds=0.01)).content) == told["bytes"]
    assert len((await fetch_with("stall", seconds=0.1, after_bytes=5000)).content) == told["bytes"]
    with pytest.raises(httpx.RemoteProtocolError):
        await fetch_with("drop")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await fetch_with("cut", after_bytes=1000)
    await http.post("/simulator/faults", json={"endpoint": "recording.content", "kind": "status", "times": 2})
    statuses = [(await http.get(url, headers=token)).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    unknown = await http.post("/simulator/faults", json={"endpoint": "recording.content", "kind": "earthquake"})
    assert unknown.status_code == 400
    assert "truncated" in unknown.json()["error"]


async def test_answers_that_are_slow_together_share_one_pace(http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    made = [(await http.post("/simulator/recordings", json={"bytes": 500_000})).json()["calls"] for _ in range(2)]
    ids = [call["recordings"][0] for calls in made for call in calls]
    slow = {"endpoint": "recording.content", "kind": "slow", "bytes_per_second": 1_000_000, "together": True}
    await http.post("/simulator/faults", json={**slow, "times": 2})

    started = time.monotonic()
    answers = await asyncio.gather(*(http.get(f"{ACCOUNT}/recording/{id_}/content", headers=token) for id_ in ids))

    assert sum(len(answer.content) for answer in answers) == 1_000_000
    assert time.monotonic() - started > 0.9, "each alone takes half a second"


async def test_a_large_recording_can_be_ordered(simulator: Simulator, http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    (call,) = (await http.post("/simulator/recordings", json={"bytes": 5_000_000})).json()["calls"]
    (id_,) = call["recordings"]
    answer = await http.get(f"{ACCOUNT}/recording/{id_}/content", headers=token)
    assert (len(answer.content), answer.headers["Content-Type"]) == (5_000_000, "audio/wav")
    told = next(one for one in (await simulator.truth())["recordings"] if one["id"] == id_)
    assert told["duration_ms"] == 52_082
