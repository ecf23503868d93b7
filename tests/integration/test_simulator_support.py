"""What the simulator's tests share: a client with a token, and a webhook to send events to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiohttp import web

from simulator import Simulator, SimulatorOptions

ACCOUNT = "/restapi/v1.0/account/~"
SUBSCRIPTION = "/restapi/v1.0/subscription"
INSIGHTS = "/ai/ringsense/v1/public/accounts/~/domains/pbx/insights"


@dataclass
class Receiver:
    """A webhook of ours. ``handshake`` and ``status`` are what it answers; ``events`` what it got."""

    url: str = ""
    status: int = 200
    delay: float = 0.0
    handshake: Callable[[str], web.Response] = lambda token: web.json_response({}, headers={"Validation-Token": token})
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        async with self.changed:
            self.requests += 1
            self.changed.notify_all()
        await asyncio.sleep(self.delay)
        self.headers.append(dict(request.headers))
        if token := request.headers.get("Validation-Token"):
            assert await request.read() == b""
            return self.handshake(token)
        async with self.changed:
            self.events.append(json.loads(await request.read()))
            self.changed.notify_all()
        return web.Response(status=self.status)

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(fact)


def stop_time(simulator: Simulator) -> Callable[[float], None]:
    """Real time stands still for the simulator; what is returned lets so many seconds of it pass."""
    clock = simulator.world.clock
    now = clock.real()

    def let_pass(seconds: float) -> None:
        nonlocal now
        now += seconds

    clock._monotonic = lambda: now
    return let_pass


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    """A receiver that listens while inside."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@asynccontextmanager
async def signed_in(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token that does not end and plenty of budget."""
    options = simulator.options
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
        await client.post("/simulator/limits", json={"light": 1000, "medium": 1000})
        data = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": options.jwt}
        auth = (options.client_id, options.client_secret)
        token = (await client.post("/restapi/oauth/token", data=data, auth=auth)).json()["access_token"]
        # The token would be gone after a second at this speed: its lifetime is not what is tried here.
        for session in simulator.world.tokens.sessions:
            session.expires_at = float("inf")
        client.headers["Authorization"] = f"bearer {token}"
        yield client


async def ask_token(http: httpx.AsyncClient, jwt: str = "one", **form: str) -> httpx.Response:
    data = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": jwt, **form}
    options = SimulatorOptions()
    return await http.post("/restapi/oauth/token", data=data, auth=(options.client_id, options.client_secret))


async def sign_in(http: httpx.AsyncClient, jwt: str = "one") -> dict[str, str]:
    answer = await ask_token(http, jwt)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def unlimited(http: httpx.AsyncClient) -> None:
    await http.post("/simulator/limits", json={"heavy": 1000, "light": 1000, "auth": 1000})


def codes(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["errorCode"], body["errors"][0]["errorCode"]


async def subscribe(http: httpx.AsyncClient, receiver: Receiver, **more: Any) -> httpx.Response:
    mode = {"transportType": "WebHook", "address": receiver.url, **more.pop("mode", {})}
    # A year: at this speed a week would end in three minutes.
    return await http.post(
        SUBSCRIPTION, json={"eventFilters": [INSIGHTS], "deliveryMode": mode, "expiresIn": 31_536_000, **more}
    )
