"""One request on its way through the simulator: is there budget for it, and how is it refused."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from simulator.answers import Answer, json_answer, send
from simulator.errors import Refusal
from simulator.oauth import Session
from simulator.rate_limits import PENALTY_SECONDS, WINDOW_SECONDS, Bucket, Closure
from simulator.world import World

Produce = Callable[[], Awaitable[Answer]]


@dataclass
class Visit:
    """``limits``: the rate-limit headers of its answer; ``closure``: what closes when it is answered 429.

    ``refused``: there was nothing that a fault could have changed; ``met``: the fault happened before that showed.
    """

    world: World
    endpoint: str
    request: web.Request
    session: Session | None = None
    bucket: Bucket | None = None
    closure: Closure | None = None
    limits: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    met: bool = False

    def admit(self, user: str, app: str, group: str) -> None:
        """Raises Refusal 429: CMN-310 while the whole service is closed, CMN-301 without budget."""
        limits, now = self.world.limits, self.world.clock.real()
        bucket = limits.bucket(user, app, group)
        if now < limits.everything.until:
            bucket.arrivals.append(now)
            self.closure = limits.everything
            self.closure.refuse(now)
            raise service_closed(limits.everything.until - now)
        self.bucket = bucket
        self.closure = bucket.closure
        granted = bucket.admit(now)
        self.limits = {
            "X-Rate-Limit-Group": group,
            "X-Rate-Limit-Limit": str(bucket.limit),
            "X-Rate-Limit-Remaining": str(bucket.remaining),
            "X-Rate-Limit-Window": str(self.world.clock.announced(WINDOW_SECONDS)),
        }
        if not granted:
            raise self.rate_exceeded()

    def rate_exceeded(self) -> Refusal:
        """The 429 of an exceeded budget; its other headers are ``limits``."""
        headers = {
            "X-Rate-Limit-Remaining": "0",
            "Retry-After": str(self.world.clock.announced(PENALTY_SECONDS)),
        }
        return Refusal(429, "CMN-301", "Request rate exceeded", headers=headers)

    async def refuse(self, refusal: Refusal) -> web.StreamResponse:
        self.world.answers[f"{self.endpoint} {refusal.status}"] += 1
        headers = {**self.limits, **refusal.headers}
        response = await send(self.request, json_answer(refusal.body, refusal.status, headers))
        if refusal.status == 429 and self.closure:
            self.closure.answered(self.world.clock.real())
        return response


#: what an order says beside the fields of a fault.
Parameters = dict[str, Any]
#: a fault stands in the place of the handler.
Kind = Callable[[Visit, Produce, Parameters], Awaitable[web.StreamResponse]]


def service_closed(seconds: float) -> Refusal:
    """The 429 of a limiter that is about everybody: no X-Rate-Limit headers (facts 6). ``seconds`` are real ones."""
    headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
    return Refusal(429, "CMN-310", "Global request rate exceeded", headers=headers)
