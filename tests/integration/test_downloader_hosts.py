"""A recording on a host that is not allowed: the running downloader refuses it, until a restart with a longer list."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.amqp.publisher import Publisher
from common.clock import SystemClock
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import Missing
from common.settings import read_settings
from common.telemetry.health import Health
from common.telemetry.metrics import REGISTRY
from demo.simulated_account import settings_for
from private_servers.rabbitmq import RabbitMQ
from services.downloader.allowed_now import make_due_what_is_allowed_now
from services.downloader.serve import DownloaderSettings, serve
from services.poller.announce import announce
from services.poller.leadership import Leadership
from simulator import Simulator, SimulatorOptions
from tests.integration.foreign_host import PLAYS, ForeignServer, foreign_server
from tests.integration.test_ringcentral_client_support import NO_RECORDING

COMPANY = SimulatorOptions(recordings=1, span=60, history=6000, elapsed=6000, speed=300, seed=5)
ACCOUNT = COMPANY.account_id
Row = dict[str, Any]
Running = Callable[[str], AbstractAsyncContextManager[None]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignServer]:
    async with foreign_server() as running:
        yield running


@pytest.fixture
def downloader(simulator: Simulator, database_url: str, rabbitmq: RabbitMQ, tmp_path: Path) -> Running:
    """The downloader's process, all but its signals, with so many media hosts."""

    @asynccontextmanager
    async def running(media_hosts: str) -> AsyncIterator[None]:
        options = simulator.options
        environment = {
            "RC_SERVER_URL": simulator.url,
            "RC_ACCOUNT_ID": options.account_id,
            "RC_CLIENT_ID": options.client_id,
            "RC_CLIENT_SECRET": options.client_secret,
            "RC_JWT": options.jwt,
            "RC_MEDIA_HOSTS": media_hosts,
            "DATABASE_URL": database_url,
            "AMQP_URL": rabbitmq.url,
            "STORAGE_URL": tmp_path.as_uri(),
        }
        stop = asyncio.Event()
        task = asyncio.create_task(serve(read_settings(DownloaderSettings, environment), Health(), stop, SystemClock()))
        try:
            yield
        finally:
            stop.set()
            await task

    return running


@pytest.fixture
async def row_when(
    simulator: Simulator, pool: Pool, publisher: Publisher, leadership: Leadership, eventually: Any
) -> AsyncIterator[Callable[[Callable[[Row], object]], Awaitable[Row]]]:
    """The row, as soon as something holds for it; what is due is announced meanwhile, as the poller does."""
    clock = SystemClock()
    async with open_ringcentral(settings_for(simulator), pool, clock) as client:
        with pytest.raises(Missing):  # its answer tells the budget, as a redirect does not
            await client.json(NO_RECORDING)

        async def when(holds: Callable[[Row], object]) -> Row:
            async def it_holds() -> bool:
                await announce(client, pool, publisher, clock, leadership)
                return bool(holds(await row_of(pool)))

            await eventually(it_holds)
            return await row_of(pool)

        yield when


async def row_of(pool: Pool) -> Row:
    return dict(await pool.fetchrow("SELECT * FROM recordings") or {})


async def tell_of(pool: Pool, uri: str, recording_id: str) -> None:
    said = [Said(("pbx", recording_id), Saying("call_log", "1", {"audio_content_uri": uri, "duration_ms": PLAYS}))]
    async with pool.transaction() as connection:
        await merge_sayings(connection, ACCOUNT, said, datetime.now(UTC) - timedelta(seconds=1))


def postponed() -> float:
    labels = {"outcome": "postponed", "reason": "ForeignHost"}
    return REGISTRY.get_sample_value("ringvault_downloads_total", labels) or 0.0


@pytest.mark.parametrize("by_redirect", [False, True], ids=["its URI", "a redirect"])
async def test_a_foreign_host_gets_no_token_and_allowing_it_heals_the_row_at_the_next_start(
    simulator: Simulator,
    pool: Pool,
    foreign: ForeignServer,
    downloader: Running,
    row_when: Callable[[Callable[[Row], object]], Awaitable[Row]],
    by_redirect: bool,
) -> None:
    (recording_id,) = simulator.world.company.recordings
    content = f"/restapi/v1.0/account/{ACCOUNT}/recording/{recording_id}/content"
    if by_redirect:
        location = {"location": f"{foreign.url}{content}", "times": 2}
        simulator.world.faults.add({"endpoint": "recording.content", "kind": "redirect", **location})
    await tell_of(pool, f"{simulator.url if by_redirect else foreign.url}{content}", recording_id)
    counted = postponed()

    async with downloader("media.ringcentral.com"):
        refused = await row_when(lambda row: row["audio_reason"] or row["audio_state"] != "pending")

    assert foreign.requests == []
    assert (refused["audio_state"], refused["audio_attempts"], refused["audio_claim"]) == ("pending", 0, None)
    assert refused["audio_reason"] == f"the host {foreign.host} is not in RC_MEDIA_HOSTS"
    assert refused["audio_due_at"] > datetime.now(UTC) + timedelta(minutes=50)
    assert postponed() == counted + 1

    async with downloader(f"media.ringcentral.com,{foreign.host}"):
        healed = await row_when(lambda row: row["audio_state"] != "pending")

    (request,) = foreign.requests
    assert (request["path"], request["Authorization"].split()[0]) == (content, "Bearer")
    assert (healed["audio_state"], healed["audio_attempts"], healed["audio_reason"]) == ("stored", 1, None)
    assert healed["audio_sha256"] == hashlib.sha256(foreign.audio).hexdigest()


@pytest.mark.parametrize(
    ("allowed", "is_due"),
    [
        (["media.ringcentral.com"], False),
        (["elsewhere.example"], False),
        (["elsewhere.example:8444"], False),
        (["media.ringcentral.com", "Elsewhere.example:8443"], True),
    ],
)
async def test_a_start_makes_due_only_what_waits_for_a_host_that_is_allowed_now(
    pool: Pool, allowed: list[str], is_due: bool
) -> None:
    await tell_of(pool, "https://elsewhere.example:8443/audio", "1")
    reason = "the host elsewhere.example:8443 is not in RC_MEDIA_HOSTS"
    await pool.execute("UPDATE recordings SET audio_reason = $1, audio_due_at = now() + interval '1 hour'", reason)

    await make_due_what_is_allowed_now(pool, SystemClock(), ACCOUNT, allowed)

    assert ((await row_of(pool))["audio_due_at"] <= datetime.now(UTC)) == is_due
