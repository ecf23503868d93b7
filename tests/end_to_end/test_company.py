"""A whole company, from its calls to the last object: everything is there and nothing was refused."""

import pytest
from rich.console import Console

from common.settings import read_settings
from demo.pipeline import SERVICES, Pipeline
from demo.watch import WatchSettings, watch
from private_servers.errors import PrivateServerError
from tests.end_to_end.facts import until, until_told

#: Every shape of call at least once. At speed 60 a rate window is one second, to the millisecond what its header says.
#: The day begins half a business hour, 30 s, after the start, or as soon as the clock is advanced.
COMPANY = {"recordings": 30, "extensions": 6, "span": 300, "history": 3600, "elapsed": -1800, "speed": 60, "seed": 11}
#: Business seconds that are left out: most of those before the day, and those in which RingSense listens to the calls.
BEFORE, LISTENING = 1500, 1500
#: Seconds until the company must be complete.
WITHIN = "200"


@pytest.mark.parametrize("pipeline", ["file", "s3"], indirect=True)
async def test_a_small_company_ends_complete_and_never_meets_the_rate_limit(pipeline: Pipeline) -> None:
    pipeline.start_simulator(**COMPANY)
    pipeline.start_all(*SERVICES)
    await until_told(pipeline, "poller", "subscription_recorded")

    async def all_calls_are_made() -> bool:
        truth = pipeline.ask_simulator("/simulator/truth")
        return bool(truth["visible_calls"] == truth["calls"])

    pipeline.ask_simulator("/simulator/clock", {"advance": BEFORE})
    await until(all_calls_are_made, what="the company's calls")
    pipeline.ask_simulator("/simulator/clock", {"advance": LISTENING})
    settings = read_settings(WatchSettings, pipeline.environment | {"DEMO_DEADLINE": WITHIN})
    verdict = await watch(settings, Console(quiet=True), at_least=30)

    assert verdict.faults == []
    assert (verdict.recordings, verdict.stored, verdict.merged) == (30, 30, 30)
    assert verdict.events >= 30
    assert verdict.journaled >= verdict.events
    assert verdict.refused == 0


async def test_a_migration_that_fails_is_told_with_its_last_words(pipeline: Pipeline) -> None:
    pipeline.settings["DATABASE_URL"] = "no-address"
    with pytest.raises(PrivateServerError, match=r"ringvault migrate ended.*\n.*DATABASE_URL"):
        pipeline.migrate()
