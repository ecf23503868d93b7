"""Things that go wrong on demand: a short queue of faults per endpoint, one function per kind.

A fault stands in the place of the handler, after authentication and the rate limit. It is given ``produce``, which
makes the true answer, and sends what it likes. A new kind is one function more in ``KINDS``.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from simulator.answers import Answer, begin, bytes_answer, json_answer, send
from simulator.errors import error_body

Produce = Callable[[], Awaitable[Answer]]
Parameters = dict[str, Any]
Kind = Callable[[web.Request, Produce, Parameters], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """``match``: only requests whose path holds this text; ``skip``: so many are let through first."""

    endpoint: str
    kind: str
    times: int = 1
    skip: int = 0
    match: str = ""
    parameters: Parameters = field(default_factory=dict)

    async def happen(self, request: web.Request, produce: Produce) -> web.StreamResponse:
        return await KINDS[self.kind](request, produce, self.parameters)


class Faults:
    """``endpoints`` are the names that faults may be ordered for."""

    def __init__(self, endpoints: frozenset[str] = frozenset()) -> None:
        self.endpoints = endpoints
        self._queues: dict[str, list[Fault]] = defaultdict(list)
        self.happened: dict[str, int] = defaultdict(int)

    def add(self, order: dict[str, Any]) -> Fault:
        """Queues a fault as the control endpoint takes it; whatever is no field is a parameter of the kind."""
        known = {name: order.pop(name) for name in ("endpoint", "kind", "times", "skip", "match") if name in order}
        if known.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of: {', '.join(sorted(KINDS))}")
        if known.get("endpoint") not in self.endpoints:
            raise ValueError(f"endpoint must be one of: {', '.join(sorted(self.endpoints))}")
        fault = Fault(**known, parameters=order)
        self._queues[fault.endpoint].append(fault)
        return fault

    def clear(self) -> None:
        self._queues.clear()

    def left(self) -> list[dict[str, Any]]:
        return [
            {"endpoint": fault.endpoint, "kind": fault.kind, "times": fault.times}
            for queue in self._queues.values()
            for fault in queue
        ]

    def next_for(self, endpoint: str, path: str) -> Fault | None:
        queue = self._queues.get(endpoint, [])
        for fault in queue:
            if fault.match and fault.match not in path:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            if fault.times <= 0:
                queue.remove(fault)
            self.happened[f"{endpoint}:{fault.kind}"] += 1
            return fault
        return None


async def _status(request: web.Request, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """``status`` (503), ``code`` (CMN-201), ``retry_after`` seconds."""
    headers = {"Retry-After": str(parameters["retry_after"])} if "retry_after" in parameters else {}
    body = error_body(parameters.get("code", "CMN-201"), "Service Temporary Unavailable")
    return await send(request, json_answer(body, parameters.get("status", 503), headers))


async def _too_many(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A 429 of another limiter: without X-Rate-Limit headers; ``retry_after`` (1)."""
    return await _status(request, produce, {"retry_after": 1, **parameters, "status": 429, "code": "CMN-310"})


async def _stall(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Silence for ``seconds`` (60), before the answer or after ``after_bytes`` of its body."""
    pause = float(parameters.get("seconds", 60))
    if "after_bytes" not in parameters:
        await asyncio.sleep(pause)
        return await send(request, await produce())
    answer = await produce()
    response = await begin(request, answer)
    sent = 0
    for piece in _small(answer.pieces(), 4096):
        if sent <= int(parameters["after_bytes"]) < sent + len(piece):
            await asyncio.sleep(pause)
        await response.write(piece)
        sent += len(piece)
    await response.write_eof()
    return response


async def _cut(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The connection is reset after ``after_bytes`` (half) of the body."""
    answer = await produce()
    response = await begin(request, answer)
    left = int(parameters.get("after_bytes", answer.size // 2))
    for piece in answer.pieces():
        await response.write(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    await asyncio.sleep(0.05)  # so that what was written leaves before the connection is reset.
    _abort(request)
    return response


async def _drop(request: web.Request, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The connection is closed without any answer."""
    _abort(request)
    return web.Response()


async def _slow(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The body trickles at ``bytes_per_second`` (16384)."""
    rate = float(parameters.get("bytes_per_second", 16384))
    answer = await produce()
    response = await begin(request, answer)
    for piece in _small(answer.pieces(), max(1, int(rate / 10))):
        await response.write(piece)
        await asyncio.sleep(len(piece) / rate)
    await response.write_eof()
    return response


async def _json200(request: web.Request, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """Status 200 with an error in JSON."""
    return await send(request, json_answer(error_body("CMN-203", "Internal Server Error")))


async def _wrong_type(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true body under another ``content_type`` (text/html)."""
    answer = await produce()
    kind = {"Content-Type": parameters.get("content_type", "text/html")}
    return await send(request, replace(answer, headers={**answer.headers, **kind}))


async def _empty(request: web.Request, produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The true headers with no body at all."""
    answer = await produce()
    return await send(request, Answer(answer.status, answer.headers))


async def _truncated(request: web.Request, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Only the first ``bytes`` (half), with a length that agrees: nothing but the content tells."""
    answer = await produce()
    kept = int(parameters.get("bytes", answer.size // 2))
    body = _first(answer, kept)
    return await send(request, replace(answer, size=len(body), pieces=lambda: iter((body,))))


async def _body(request: web.Request, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Any ``text`` or ``json`` with ``status`` (200) and ``content_type``."""
    text = parameters.get("text", json.dumps(parameters.get("json", {})))
    kind = parameters.get("content_type", "application/json")
    return await send(request, bytes_answer(text.encode(), kind, parameters.get("status", 200)))


async def _redirect(request: web.Request, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A redirect (``status`` 302) to ``location``."""
    return await send(request, Answer(parameters.get("status", 302), {"Location": parameters["location"]}))


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _first(answer: Answer, size: int) -> bytes:
    body = bytearray()
    for piece in answer.pieces():
        body += piece[: size - len(body)]
        if len(body) >= size:
            break
    return bytes(body)


def _small(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), size):
            yield piece[start : start + size]


KINDS: dict[str, Kind] = {
    "status": _status,
    "429": _too_many,
    "stall": _stall,
    "cut": _cut,
    "drop": _drop,
    "slow": _slow,
    "json200": _json200,
    "wrong_type": _wrong_type,
    "empty": _empty,
    "truncated": _truncated,
    "body": _body,
    "redirect": _redirect,
}
