"""A process that is told to stop while the broker or the database is away or frozen ends in time, with exit code 0."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from demo.pipeline import SERVICES, Pipeline
from tests.end_to_end.facts import Rows, exit_code, open_rows, until
from tests.end_to_end.sender import HEADERS, insights_event

#: Seconds of grace, and those for what may follow: goodbyes to servers that do not answer, each bounded.
GRACE, GOODBYES = 3.0, 15.0


@contextmanager
def hurt(pipeline: Pipeline, server: str, how: str) -> Iterator[None]:
    one = {"rabbitmq": pipeline.rabbitmq, "postgres": pipeline.postgres}[server]
    (one.pause if how == "frozen" else one.kill)()
    try:
        yield
    finally:
        one.resume()
        one.start()


@pytest.mark.parametrize("servers", ["direct"], indirect=True)  # PgBouncer 1.18 does not outlive a frozen Postgres.
@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize("server", ["rabbitmq", "postgres"])
async def test_every_service_with_work_in_hand_stops_in_time_also_without(
    pipeline: Pipeline, rows: Rows, server: str, how: str
) -> None:
    # Given a download that stands still, an event on its way, and an outage
    pipeline.settings["GRACE_PERIOD"] = str(GRACE)
    pipeline.start_simulator(recordings=0)
    pipeline.ask_simulator("/simulator/faults", {"endpoint": "recording.content", "kind": "stall", "seconds": 600})
    pipeline.ask_simulator("/simulator/recordings", {"bytes": 1_000_000})
    pipeline.start_all(*SERVICES)
    await until(lambda: rows.ask("SELECT audio_claim FROM recordings"), what="a download under way")
    with hurt(pipeline, server, how):
        async with httpx.AsyncClient(timeout=30) as http:
            event = insights_event("1001", {"Summary": [{"value": "A delivery moves."}]})
            assert (await http.post(pipeline.webhook_url, content=event, headers=HEADERS)).status_code == 200
        began = time.monotonic()

        for service in SERVICES:
            pipeline.services[service].send(signal.SIGTERM)

        assert {one: exit_code(pipeline.services[one]) for one in SERVICES} == dict.fromkeys(SERVICES, 0)
        assert time.monotonic() - began < GRACE + GOODBYES

    # Then nothing that was in hand is lost
    pipeline.start_all("webhook", "insights")
    async with open_rows(pipeline) as afterwards:
        await afterwards.until_recording("1001", insights_state="present")
        assert await afterwards.ask("SELECT max(audio_attempts) FROM recordings") == 0
