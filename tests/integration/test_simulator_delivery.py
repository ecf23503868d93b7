"""The simulator and a webhook: events, failures, blacklisting, reminders."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from simulator.delivery import RECONCILE_SECONDS
from simulator.subscriptions import Subscription
from tests.integration.test_simulator_support import INSIGHTS, SUBSCRIPTION, Receiver, subscribe

#: ten minutes of failing last six seconds: longer than a burst of events on any machine. The tests advance the clock.
SPEED = 100.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(recordings=6, speed=SPEED, history=4000, elapsed=4000)) as running:
        yield running


async def status_of(http: httpx.AsyncClient, id_: str) -> str:
    return str((await http.get(f"{SUBSCRIPTION}/{id_}")).json()["status"])


async def test_an_event_comes_with_its_envelope_and_the_verification_token(
    http: httpx.AsyncClient, receiver: Receiver, simulator: Simulator
) -> None:
    made = (await subscribe(http, receiver, mode={"verificationToken": "secret"})).json()
    order = {"appears_after": 0, "audio_after": 0, "notes_after": 60, "insights_after": 120}
    (call,) = (await http.post("/simulator/calls", json=order)).json()["calls"]
    await receiver.until(lambda: len(receiver.events) == 2)
    envelope = next(one for one in receiver.events if "CallNotes" in one["body"]["insights"])
    assert envelope["event"] == INSIGHTS.replace("~", simulator.options.account_id)
    assert envelope["subscriptionId"] == made["id"]
    assert isinstance(envelope["uuid"], str)
    assert [envelope["body"]["sourceRecordId"]] == call["recordings"]
    assert envelope["body"]["sourceSessionId"] == call["telephony_session_id"]
    assert receiver.headers[-1]["Verification-Token"] == "secret"
    assert receiver.headers[-1]["Content-Type"] == "application/json; charset=UTF-8"


async def test_the_truth_knows_which_events_were_delivered(
    http: httpx.AsyncClient, receiver: Receiver, simulator: Simulator
) -> None:
    told = await simulator.truth()
    assert told["finished"]
    assert not any(event["delivered"] for event in told["events"]), "nobody had subscribed when they happened"
    await subscribe(http, receiver)
    sent = (await http.post("/simulator/events", json={"copies": 2})).json()
    assert sent == {"sent": 2 * len(told["events"]), "delivered": 2 * len(told["events"])}
    assert all(event["delivered"] for event in (await simulator.truth())["events"])
    assert len({event["uuid"] for event in receiver.events}) == len(told["events"])


async def test_failing_for_ten_minutes_blacklists_for_good(http: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await subscribe(http, receiver)).json()
    receiver.status = 404
    await http.post("/simulator/events", json={})
    assert await status_of(http, made["id"]) == "Active"
    assert not any(event["bodies"] for event in (await http.get("/simulator/truth")).json()["events"])
    await http.post("/simulator/clock", json={"advance": 600})
    await http.post("/simulator/events", json={})
    shown = (await http.get(f"{SUBSCRIPTION}/{made['id']}")).json()
    assert shown["status"] == "Blacklisted"
    assert shown["blacklistedData"]["reason"] == "Webhook responses with code: [404], reason: [Not Found]"
    got = len(receiver.events)
    receiver.status = 200
    assert (await http.post("/simulator/events", json={})).json()["delivered"] == 0
    assert len(receiver.events) == got, "nothing is sent to a blacklisted subscription"


async def test_one_success_in_between_keeps_a_subscription_active(http: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await subscribe(http, receiver)).json()
    for status in (500, 200, 500):
        receiver.status = status
        await http.post("/simulator/events", json={})
        await http.post("/simulator/clock", json={"advance": 599})
    assert await status_of(http, made["id"]) == "Active"


async def test_a_reminder_comes_before_the_end(http: httpx.AsyncClient, receiver: Receiver) -> None:
    reminder = "/restapi/v1.0/subscription/~?threshold=43200&interval=14400"
    made = (await subscribe(http, receiver, eventFilters=[INSIGHTS, reminder], expiresIn=86_400 * 30)).json()
    await http.post("/simulator/clock", json={"advance": 86_400 * 30 - 43_000})
    await receiver.until(lambda: len(receiver.events) >= 1)
    assert (receiver.events[0]["event"], receiver.events[0]["subscriptionId"]) == (reminder, made["id"])


async def test_retries_and_reconciliation_can_be_switched_on(receiver: Receiver) -> None:
    options = SimulatorOptions(
        recordings=2,
        speed=SPEED,
        history=4000,
        elapsed=4000,
        delivery_retries=2,
        reconcile_blacklisted=True,
        extensions=1,
    )
    async with Simulator(options) as simulator:
        user = simulator.world.tokens.users[0]
        now = simulator.world.clock.now()
        one = Subscription(user, options.client_id, [INSIGHTS], [], receiver.url, None, 10**8, now, now + 10**8)
        simulator.world.subscriptions.add(one)
        receiver.status = 500
        event = next(iter(simulator.world.company.events), None)
        assert event is not None
        await simulator.world.delivery.announce(event)
        await receiver.until(lambda: len(receiver.events) == 3)
        receiver.status = 200
        one.blacklist(simulator.world.clock.now(), "tried here")
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
            await client.post("/simulator/clock", json={"advance": RECONCILE_SECONDS})
            shown = "Blacklisted"
            while shown != "Active":
                shown = (await client.get("/simulator/subscriptions")).json()["records"][0]["status"]
