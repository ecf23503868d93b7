"""The simulator over real sockets: faults by the seed, and that a patient client comes through."""

import httpx

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import ACCOUNT, sign_in


async def test_a_storm_blows_over_and_every_recording_can_be_had() -> None:
    options = SimulatorOptions(
        recordings=30, speed=2000, history=4000, elapsed=4000, faults="http,token", fault_rate=0.9, stall_seconds=0.01
    )
    async with (
        Simulator(options) as simulator,
        httpx.AsyncClient(base_url=simulator.url, timeout=60) as http,
    ):
        await http.post("/simulator/limits", json={"heavy": 10_000, "auth": 10_000})
        told = {one["id"]: one for one in (await simulator.truth())["recordings"]}
        assert {one["why_not"] for one in told.values() if not one["obtainable"]} == {"audio deleted by retention"}
        stored: set[str] = set()
        for _ in range(10):
            for id_ in told:
                if await _fetched(http, options, id_) == told[id_]["bytes"]:
                    stored.add(id_)
        assert stored == {id_ for id_, one in told.items() if one["obtainable"]}
        left = (await http.get("/simulator/counts")).json()["faults_left"]
        assert not [one for one in left if one.get("endpoint") == "recording.content"]


async def _fetched(http: httpx.AsyncClient, options: SimulatorOptions, id_: str) -> int | None:
    """How many bytes of audio came; None when something was wrong with them."""
    try:
        token = await sign_in(http, options.jwt)
        answer = await http.get(f"{ACCOUNT}/recording/{id_}/content", headers=token)
    except (httpx.HTTPError, KeyError):
        return None
    audio = answer.status_code == 200 and answer.headers["Content-Type"].startswith("audio/")
    return len(answer.content) if audio else None
