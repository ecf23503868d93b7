"""All processes are replaced one after another while calls and events keep coming: nobody outside sees it."""

import signal
import time
from random import Random

import pytest

from chaos.judge import Judge
from chaos.load import Load
from chaos.matrix import until_right
from chaos.proxy import Network
from demo.pipeline import SERVICES, Pipeline
from private_servers.ports import free_ports
from tests.end_to_end.facts import exit_code

#: Processes of each service.
REPLICAS = 2
#: Seconds until all that was due must be right.
WITHIN = 120.0
#: Business time runs fast enough for a call to be listed and its insights to come within two seconds.
COMPANY = {"recordings": 0, "speed": 60, "history": 3600}


@pytest.mark.parametrize("pipeline", ["s3"], indirect=True)
def test_a_rolling_restart_under_load_loses_repeats_and_refuses_nothing(pipeline: Pipeline) -> None:
    ports = free_ports(REPLICAS)
    with Network() as network:
        front = network.line(*ports)  # before both receivers; it goes on to the other where one refuses.
        pipeline.settings["RC_WEBHOOK_ADDRESS"] = f"http://127.0.0.1:{front.port}/api/rc/webhook"
        pipeline.start_simulator(**COMPANY)
        for service in SERVICES:
            for slot in range(REPLICAS):
                pipeline.launch(service, f"{service} {slot}", HTTP_PORT=str(ports[slot]))
            for slot in range(REPLICAS):
                pipeline.wait_ready(f"{service} {slot}")
        with Judge(pipeline) as judge:
            load = Load(pipeline, Random(1))
            load.start()
            codes = [_replace(pipeline, service, slot, ports[slot]) for service in SERVICES for slot in range(REPLICAS)]
            load.stop()
            findings = until_right(judge, load.recordings, time.monotonic() + WITHIN)

    assert codes == [0] * len(SERVICES) * REPLICAS
    assert (findings.lost, findings.doubled, findings.unanswered) == ([], [], 0)
    assert findings.recordings == len(load.recordings) > 0


def _replace(pipeline: Pipeline, service: str, slot: int, port: int) -> int:
    """End a process politely and start another in its place; the exit code of the first."""
    old = pipeline.services[f"{service} {slot}"]
    old.send(signal.SIGTERM)
    code = exit_code(old)
    pipeline.start(service, f"{service} {slot} again", HTTP_PORT=str(port))
    return code
