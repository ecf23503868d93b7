"""The full run: proxy, simulator, product, our client, requests by hand, the official SDK; what passed is returned."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conformance.by_hand import ByHand
from conformance.company import COMPANY, ask_everything, live_a_day
from conformance.exchange import Exchange
from conformance.proxy import RecordingProxy
from demo.pipeline import Pipeline
from private_servers.ports import free_ports

#: The service user of the product, and the one for requests by hand, who has a budget of its own.
_JWTS: Final = ("conformance.jwt.product", "conformance.jwt.by.hand")
#: Seconds for the SDK: five requests.
_SDK_WITHIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """All exchanges, and sentences about what went wrong beside them."""

    exchanges: list[Exchange]
    faults: list[str]


def full_run(say: Callable[[str], None]) -> Run:
    """Start everything on private servers, use it, stop it."""
    simulator_port, proxy_port = free_ports(2)
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-conformance-") as folder,
        RecordingProxy(proxy_port, f"http://127.0.0.1:{simulator_port}") as proxy,
        Pipeline(Path(folder), settings={"RC_JWT": _JWTS[0]}) as pipeline,
    ):
        pipeline.migrate()
        pipeline.start_simulator(port=simulator_port, public_url=proxy.url, jwt=",".join(_JWTS), **COMPANY)
        say(f"A company of {COMPANY['recordings']} recordings, through the real product …")
        faults = live_a_day(pipeline)
        truth: Mapping[str, Any] = pipeline.ask_simulator("/simulator/truth")
        say("Every function of the client …")
        faults += ask_everything(pipeline, truth)
        say("What the client does not ask, and every refusal, by hand …")
        by_hand = ByHand(pipeline.simulator, _JWTS[1], pipeline.webhook_url, truth)
        by_hand.run()
        say("RingCentral's own SDK …")
        faults += [*by_hand.surprises, *_use_official_sdk(pipeline.environment, truth, say)]
        return Run(proxy.exchanges, faults)


def _use_official_sdk(
    environment: Mapping[str, str], truth: Mapping[str, Any], say: Callable[[str], None]
) -> list[str]:
    """Run it in a process of its own; what is wrong with its result, in sentences."""
    script = Path(__file__).with_name("official_sdk.py")
    inherited = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}  # where the SDK lies
    ended = subprocess.run(
        [sys.executable, script],
        env={**environment, **inherited},
        capture_output=True,
        text=True,
        timeout=_SDK_WITHIN,
        check=False,
    )
    try:
        result = json.loads(ended.stdout)
    except ValueError:
        return [f"the official SDK ended with code {ended.returncode} and told nothing"]
    if "error" in result:
        return [f"the official SDK failed: {result['error']}"]
    say(
        f"  logged in; {result['subscriptions']} subscription, {result['records']} call-log records, "
        f"a recording of {result['bytes']} bytes"
    )
    hashes = {recording["id"]: recording["sha256"] for recording in truth["recordings"]}
    faults = []
    if hashes.get(result["recording"]) != result["sha256"]:
        faults.append("the official SDK received other bytes than the recording has")
    if not result["subscriptions"]:
        faults.append("the official SDK sees no subscription, and the product has one")
    return faults
