"""Faults that are seen on the wire, one function per kind: statuses, silence, cuts, bodies that are not what was asked.

A fault stands in the place of the handler, after authentication and the rate limit. It is given ``produce``, which
makes the true answer, and sends what it likes. A new kind is one function more in ``WIRE_KINDS``.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from aiohttp import web

from simulator.answers import Answer, begin, bytes_answer, json_answer, send
from simulator.errors import error_body
from simulator.visit import Produce, Visit

Parameters = dict[str, Any]
Kind = Callable[[Visit, Produce, Parameters], Awaitable[web.StreamResponse]]


async def _status(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """``status`` (503), ``code`` (CMN-201), ``retry_after`` seconds, none for no such header."""
    told = parameters.get("retry_after")
    headers = {} if told is None else {"Retry-After": str(told)}
    body = error_body(parameters.get("code", "CMN-201"), "Service Temporary Unavailable")
    return await send(visit.request, json_answer(body, parameters.get("status", 503), headers))


async def _too_many(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A single 429 of another limiter: without X-Rate-Limit headers; ``retry_after`` (1), null for no such header."""
    return await _status(visit, produce, {"retry_after": 1, **parameters, "status": 429, "code": "CMN-310"})


async def _stall(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Silence for ``seconds`` (60): a slow first byte, or, with ``after_bytes``, a pause within the body."""
    pause = float(parameters.get("seconds", 60))
    if "after_bytes" not in parameters:
        await asyncio.sleep(pause)
        visit.met = True
        return await send(visit.request, await produce())
    answer = await produce()
    response = await begin(visit.request, answer)
    sent = 0
    for piece in _small(answer.pieces(), 4096):
        if sent <= int(parameters["after_bytes"]) < sent + len(piece):
            await asyncio.sleep(pause)
        await response.write(piece)
        sent += len(piece)
    await response.write_eof()
    return response


async def _cut(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The connection is reset after ``after_bytes`` (half) of the body; ``length`` false: none was promised."""
    answer = await produce()
    response = await begin(visit.request, answer, sized=bool(parameters.get("length", True)))
    left = int(parameters.get("after_bytes", answer.size // 2))
    for piece in answer.pieces():
        await response.write(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    await asyncio.sleep(0.05)  # so that what was written leaves before the connection is reset.
    _abort(visit.request)
    return response


async def _drop(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The connection is closed without any answer."""
    _abort(visit.request)
    return web.Response()


async def _cut_unframed(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """No length and no chunks: the body ends with the connection, properly, after ``after_bytes`` (half) of it."""
    answer = await produce()
    lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in answer.headers.items())]
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    if visit.request.transport is not None:
        body = _first(answer, int(parameters.get("after_bytes", answer.size // 2)))
        visit.request.transport.write(head.encode() + body)
        visit.request.transport.close()
    return web.Response(status=answer.status)


async def _lost_answer(visit: Visit, produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """It is done, but the answer never comes."""
    await produce()
    _abort(visit.request)
    return web.Response()


async def _slow(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The body trickles at ``bytes_per_second`` (16384)."""
    rate = float(parameters.get("bytes_per_second", 16384))
    answer = await produce()
    response = await begin(visit.request, answer)
    for piece in _small(answer.pieces(), max(1, int(rate / 10))):
        await response.write(piece)
        await asyncio.sleep(len(piece) / rate)
    await response.write_eof()
    return response


async def _json200(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """Status 200 with an error in JSON."""
    return await send(visit.request, json_answer(error_body("CMN-203", "Internal Server Error")))


async def _wrong_type(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true body under another ``content_type`` (text/html)."""
    answer = await produce()
    kind = {"Content-Type": parameters.get("content_type", "text/html")}
    return await send(visit.request, replace(answer, headers={**answer.headers, **kind}))


async def _empty(visit: Visit, produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The true headers with no body at all."""
    answer = await produce()
    return await send(visit.request, Answer(answer.status, answer.headers))


async def _truncated(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Only the first ``bytes`` (half), with a length that agrees: nothing but the content tells."""
    answer = await produce()
    kept = int(parameters.get("bytes", answer.size // 2))
    body = _first(answer, kept)
    return await send(visit.request, replace(answer, size=len(body), pieces=lambda: iter((body,))))


async def _body(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Any ``text`` or ``json`` with ``status`` (200) and ``content_type``."""
    text = parameters.get("text", json.dumps(parameters.get("json", {})))
    kind = parameters.get("content_type", "application/json")
    return await send(visit.request, bytes_answer(text.encode(), kind, parameters.get("status", 200)))


async def _redirect(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A redirect (``status`` 302) to ``location``."""
    return await send(visit.request, Answer(parameters.get("status", 302), {"Location": parameters["location"]}))


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


WIRE_KINDS: dict[str, Kind] = {
    "status": _status,
    "429": _too_many,
    "stall": _stall,
    "cut": _cut,
    "cut_unframed": _cut_unframed,
    "drop": _drop,
    "lost_answer": _lost_answer,
    "slow": _slow,
    "json200": _json200,
    "wrong_type": _wrong_type,
    "empty": _empty,
    "truncated": _truncated,
    "body": _body,
    "redirect": _redirect,
}
