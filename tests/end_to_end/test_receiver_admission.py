"""An address that only RingCentral knows: a subscription is made for it, events arrive there, and no log holds it."""

import httpx

from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, until_told
from tests.end_to_end.sender import HEADERS, insights_event

SECRET = "5e1f0c9b7a3d4e62" * 2


async def test_a_secret_in_the_receivers_path_is_asked_for_and_stands_in_no_log(pipeline: Pipeline, rows: Rows) -> None:
    # Given a receiver with a secret in its path, and a poller that tells RingCentral
    secret_url = f"{pipeline.webhook_url}/{SECRET}"
    pipeline.settings |= {
        "WEBHOOK_PATH_SECRET": SECRET,
        "RC_WEBHOOK_ADDRESS": secret_url,
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "LOG_LEVEL": "debug",
    }
    pipeline.start_simulator(recordings=1, history=3600, elapsed=-1800, speed=60)
    pipeline.start_all("webhook", "insights", "poller")
    await until_told(pipeline, "poller", "subscription_recorded")

    # When events come with the secret, without, and with another
    raw = insights_event("7001", {"Summary": [{"value": "They agreed."}]})
    async with httpx.AsyncClient(timeout=30) as http:
        statuses = [
            (await http.post(url, content=raw, headers=HEADERS)).status_code
            for url in (secret_url, pipeline.webhook_url, f"{pipeline.webhook_url}/{SECRET[::-1]}")
        ]

    # Then the first one became a row, the others found nothing, and nobody has written the secret down
    assert statuses == [200, 404, 404]
    await rows.until_recording("7001", insights_state="present")
    logs = {name: process.log.read_text() for name, process in pipeline.services.items()}
    assert {name for name, log in logs.items() if log} == {"webhook", "insights", "poller"}
    assert [name for name, log in logs.items() if SECRET in log] == []
