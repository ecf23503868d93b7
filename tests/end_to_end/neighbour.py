"""Another installation on our app and with our user: its subscription is not ours to touch."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from aiohttp import web

from simulator import Simulator
from simulator.subscriptions import Subscription
from tests.integration.test_simulator_support import INSIGHTS, SUBSCRIPTION, sign_in

#: Seconds that RingCentral lets a subscription live when nobody says how long.
USUAL_LIFETIME: Final = 604_800


@dataclass
class Neighbour:
    """Takes the events of the company as we do. `heard` are their digests."""

    simulator: Simulator
    http: httpx.AsyncClient
    url: str = ""
    heard: set[bytes] = field(default_factory=set)
    subscription_id: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        if token := request.headers.get("Validation-Token"):
            return web.json_response({}, headers={"Validation-Token": token})
        self.heard.add(hashlib.sha256(await request.read()).digest())
        return web.Response()

    async def subscribe(self) -> None:
        mode = {"transportType": "WebHook", "address": self.url}
        order = {"eventFilters": [INSIGHTS], "deliveryMode": mode, "expiresIn": USUAL_LIFETIME}
        answer = await self.http.post(SUBSCRIPTION, json=order, headers=await self._signed_in())
        self.subscription_id = answer.raise_for_status().json()["id"]

    async def renew(self) -> None:
        path = f"{SUBSCRIPTION}/{self.subscription_id}/renew"
        (await self.http.post(path, headers=await self._signed_in())).raise_for_status()

    @property
    def subscriptions(self) -> list[Subscription]:
        """Those that live for this address."""
        return [one for one in self.simulator.world.subscriptions.living() if one.address == self.url]

    async def _signed_in(self) -> dict[str, str]:
        return await sign_in(self.http, self.simulator.options.jwt)


@asynccontextmanager
async def neighbouring(simulator: Simulator) -> AsyncIterator[Neighbour]:
    """The neighbour, listening while inside, and not yet subscribed."""
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as http:
        neighbour = Neighbour(simulator, http)
        application = web.Application()
        application.router.add_post("/hook", neighbour.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            neighbour.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            yield neighbour
        finally:
            await runner.cleanup()
