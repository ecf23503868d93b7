"""One request, from its head to its answer. The order of the checks is the point of this file.

Network, path and token come before the body, so that whoever lacks one costs us nothing and learns nothing. Only a
handshake needs no token, no broker and no spool: RingCentral sends it while a subscription is being made.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from common.clock import Clock
from common.messages import InsightsReceived
from common.telemetry.metrics import WEBHOOK_ANSWER_SECONDS, WEBHOOK_REQUESTS
from services.webhook.answers import Outcome, Refused, accept, refuse
from services.webhook.authenticity import VALIDATION, demand_echoable, demand_token, echo_of
from services.webhook.body import BODY_LIMIT, demand_plain, demand_size, first_bytes, whole_body
from services.webhook.connections import Connections
from services.webhook.endpoint import PATH, demand_path
from services.webhook.envelope import read_envelope
from services.webhook.keep import ANSWER_WITHIN, Keeper
from services.webhook.networks import Network, demand_network
from services.webhook.refusals import Refusals
from services.webhook.room import Room


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may send: to which path, with one of which tokens, from where. `()` for tokens or networks lets everyone."""

    path: str = field(default=PATH, repr=False)
    tokens: Sequence[str] = field(default=(), repr=False)
    networks: Sequence[Network] = ()
    proxies: Sequence[Network] = ()


class Receiver:
    """Answers the requests of one account's subscription."""

    def __init__(
        self, account_id: str, admission: Admission, keeper: Keeper, clock: Clock, connections: Connections
    ) -> None:
        self._account_id = account_id
        self._admission = admission
        self._keeper = keeper
        self._clock = clock
        self._connections = connections
        self._room = Room()
        self._refusals = Refusals()
        for outcome in Outcome:  # a counter that appears with its first event hides that event from alerts.
            WEBHOOK_REQUESTS.labels(outcome.value)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request, whatever it is; takes 2 s at most, 3 s when its body came slowly."""
        started = time.monotonic()
        log = structlog.get_logger()
        try:
            with self._connections.request(request.transport):
                outcome = await self._receive(request, started)
            response = accept(outcome, echo_of(request.headers))
        except Refused as refusal:
            outcome, response = refusal.outcome, refuse(refusal)
            self._refusals.note(outcome, time.monotonic())
        except Exception:
            log.exception("receiving_failed")
            outcome, response = Outcome.FAILED, refuse(Refused(Outcome.FAILED, "the receiver failed"))
        WEBHOOK_REQUESTS.labels(outcome.value).inc()
        WEBHOOK_ANSWER_SECONDS.observe(time.monotonic() - started)
        return response

    async def _receive(self, request: web.Request, started: float) -> Outcome:
        demand_network(request.remote, request.headers, self._admission.networks, self._admission.proxies)
        demand_path(request.path, self._admission.path)
        if request.method != "POST":
            raise Refused(Outcome.WRONG_METHOD, "only POST is understood here")
        async with AsyncExitStack() as room:
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    raw = await self._body(request, room)
            except TimeoutError:
                raise Refused(Outcome.TOO_SLOW, "the body did not arrive in time") from None
            if raw is None:
                return Outcome.HANDSHAKE
            with self._connections.answering(request.transport):
                return await self._keep(raw, started)

    async def _keep(self, raw: bytes, started: float) -> Outcome:
        envelope = read_envelope(raw, self._account_id)
        outcome = Outcome.IGNORED
        if envelope.is_insights:
            message = InsightsReceived(raw=raw, account_id=self._account_id, received_at=self._clock.now())
            outcome = await self._keeper.keep(message, time.monotonic() - started)
        structlog.get_logger().info(
            "event_accepted",
            outcome=outcome.value,
            uuid=envelope.uuid,
            bytes=len(raw),
            seconds=round(time.monotonic() - started, 3),
        )
        return outcome

    async def _body(self, request: web.Request, room: AsyncExitStack) -> bytes | None:
        """The body of a request that may be here, or None for a handshake. It has its room as long as that is open."""
        if VALIDATION in request.headers:
            # What it is, a challenge or the secret of an event, shows in whether anything follows.
            first = await first_bytes(request)
            if not first:
                demand_echoable(request.headers)
                return None
            demand_token(request.headers, self._admission.tokens)
        else:
            demand_token(request.headers, self._admission.tokens)
            first = b""
        if request.content_type != "application/json":
            raise Refused(Outcome.WRONG_MEDIA_TYPE, "the media type is not application/json")
        demand_plain(request.headers)
        demand_size(request.content_length)
        # One that does not say its size may have the largest.
        await room.enter_async_context(
            self._room.taken(BODY_LIMIT if request.content_length is None else request.content_length)
        )
        return await whole_body(request, first)
