"""Faults that are seen on the wire, one function per kind: statuses, silence, cuts.

A fault stands in the place of the handler, after authentication and the rate limit. It is given ``produce``, which
makes the true answer, and sends what it likes. A new kind is one function more in ``WIRE_KINDS``.
"""

import asyncio
from random import Random

from aiohttp import web

from simulator.answers import Answer, begin, json_answer, send
from simulator.body_faults import first_bytes, small
from simulator.errors import error_body
from simulator.line import Line
from simulator.visit import Kind, Parameters, Produce, Visit

#: where ``random`` cuts are drawn from.
_CUTS = Random("cuts")


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
    """Silence for ``seconds`` (60): a slow first byte, or, with ``after_bytes``, a pause within the body.

    ``length`` false: in chunks.
    """
    pause = float(parameters.get("seconds", 60))
    if "after_bytes" not in parameters:
        await asyncio.sleep(pause)
        visit.met = True
        return await send(visit.request, await produce())
    answer = await produce()
    response = await begin(visit.request, answer, sized=bool(parameters.get("length", True)))
    sent = 0
    for piece in small(answer.pieces(), 4096):
        if sent <= int(parameters["after_bytes"]) < sent + len(piece):
            await asyncio.sleep(pause)
        await response.write(piece)
        sent += len(piece)
    await response.write_eof()
    return response


async def _cut(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The connection is reset after ``after_bytes`` (half, or "random") of the body; ``length`` false: in chunks."""
    answer = await produce()
    response = await begin(visit.request, answer, sized=bool(parameters.get("length", True)))
    after = parameters.get("after_bytes", answer.size // 2)
    left = _CUTS.randrange(1, max(2, answer.size)) if after == "random" else int(after)
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
    """No length and no chunks: the body ends with the connection, properly, after ``after_bytes`` (half) of it.

    Below 0: so many before its end.
    """
    answer = await produce()
    lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in answer.headers.items())]
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    if visit.request.transport is not None:
        body = first_bytes(answer, int(parameters.get("after_bytes", answer.size // 2)))
        visit.request.transport.write(head.encode() + body)
        visit.request.transport.close()
    return web.Response(status=answer.status)


async def _lost_answer(visit: Visit, produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """It is done, but the answer never comes."""
    await produce()
    _abort(visit.request)
    return web.Response()


async def _slow(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The body comes at ``bytes_per_second`` (16384), after ``seconds`` (0) of silence; ``length`` false: in chunks.

    ``together`` true: at that pace with all others that are.
    """
    rate = float(parameters.get("bytes_per_second", 16384))
    together = bool(parameters.get("together", False))
    line, pieces_a_second = (visit.world.line, 100) if together else (Line(), 10)
    await asyncio.sleep(float(parameters.get("seconds", 0)))
    answer = await produce()
    response = await begin(visit.request, answer, sized=bool(parameters.get("length", True)))
    for piece in small(answer.pieces(), max(1, int(rate / pieces_a_second))):
        await response.write(piece)
        await line.carry(len(piece) / rate)
    await response.write_eof()
    return response


async def _redirect(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A redirect (``status`` 302) to ``location``."""
    return await send(visit.request, Answer(parameters.get("status", 302), {"Location": parameters["location"]}))


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


WIRE_KINDS: dict[str, Kind] = {
    "status": _status,
    "429": _too_many,
    "stall": _stall,
    "cut": _cut,
    "cut_unframed": _cut_unframed,
    "drop": _drop,
    "lost_answer": _lost_answer,
    "slow": _slow,
    "redirect": _redirect,
}
