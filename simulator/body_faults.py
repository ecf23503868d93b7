"""Faults of what an answer carries, one function per kind in ``BODY_KINDS``: a body that is not what was asked for.

With ``length`` false each comes in chunks, without a Content-Length.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from aiohttp import web

from simulator.answers import Answer, bytes_answer, json_answer, send
from simulator.audio import Audio
from simulator.audio_mp3 import mp3_of_length
from simulator.audio_wav import wav_of_length
from simulator.errors import error_body
from simulator.visit import Kind, Parameters, Produce, Visit


async def _json200(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Status 200 with an error in JSON."""
    return await _send(visit, json_answer(error_body("CMN-203", "Internal Server Error")), parameters)


async def _wrong_type(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true body under another ``content_type`` (text/html)."""
    answer = await produce()
    kind = {"Content-Type": parameters.get("content_type", "text/html")}
    return await _send(visit, replace(answer, headers={**answer.headers, **kind}), parameters)


async def _empty(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true headers with no body at all."""
    answer = await produce()
    return await _send(visit, Answer(answer.status, answer.headers), parameters)


async def _truncated(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Only the first ``bytes`` (half; below 0: all but so many), with a length that agrees: only the content tells."""
    answer = await produce()
    body = first_bytes(answer, int(parameters.get("bytes", answer.size // 2)))
    return await _send(visit, replace(answer, size=len(body), pieces=lambda: iter((body,))), parameters)


async def _body(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Any ``text`` or ``json`` with ``status`` (200) and ``content_type``."""
    text = parameters.get("text", json.dumps(parameters.get("json", {})))
    kind = parameters.get("content_type", "application/json")
    return await _send(visit, bytes_answer(text.encode(), kind, parameters.get("status", 200)), parameters)


async def _noise(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true head, and as many bytes that are no audio: random, or all ``byte``."""
    answer = await produce()
    byte = parameters.get("byte")
    body = Random(7).randbytes(answer.size) if byte is None else bytes([int(byte)]) * answer.size
    return await _send(visit, replace(answer, pieces=lambda: iter((body,))), parameters)


async def _damaged(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The true length, with the ``share`` (0.25) in the middle of the body overwritten with zeros."""
    answer = await produce()
    body = bytearray(first_bytes(answer, answer.size))
    hole = int(len(body) * float(parameters.get("share", 0.25)))
    body[len(body) // 2 : len(body) // 2 + hole] = bytes(hole)
    return await _send(visit, replace(answer, pieces=lambda: iter((bytes(body),))), parameters)


async def _other_audio(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """Whole and sound audio of the same kind, which is ``seconds`` (5) long: that of another recording."""
    answer = await produce()
    name, length_ms = "another", round(1000 * float(parameters.get("seconds", 5)))
    wav = answer.headers["Content-Type"] == "audio/wav"
    audio: Audio = wav_of_length(name, length_ms) if wav else mp3_of_length(name, length_ms, 32)
    other = replace(answer, size=audio.size, pieces=lambda: audio.chunks(0, audio.size))
    return await _send(visit, other, parameters)


async def _partial(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """206 with the first ``bytes`` (half) of what was asked for, also when that was no range, as it may be (facts 5).

    ``total`` (the true one) is what it tells of the whole; "*" is allowed. ``etag`` (true): whether it repeats that.
    """
    answer = await produce()
    body = first_bytes(answer, int(parameters.get("bytes", answer.size // 2)))
    asked, _, true = answer.headers.get("Content-Range", f"bytes 0-/{answer.size}").partition("/")
    begin = int(asked.removeprefix("bytes ").partition("-")[0])
    told = f"bytes {begin}-{begin + len(body) - 1}/{parameters.get('total', true)}"
    headers = {**answer.headers, "Content-Range": told}
    if not parameters.get("etag", True):
        headers.pop("ETag", None)
    return await _send(visit, Answer(206, headers, len(body), lambda: iter((body,))), parameters)


async def _range_as_200(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """The bytes of the range that was asked for, with status 200 and no Content-Range, as some servers answer."""
    answer = await produce()
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Range"}
    return await _send(visit, replace(answer, status=200, headers=headers), parameters)


async def _range_shifted(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """206 with the bytes asked for, whose Content-Range begins ``by`` (1) bytes later."""
    answer = await produce()
    unit, _, told = answer.headers.get("Content-Range", "bytes 0-0/1").partition(" ")
    begin, _, rest = told.partition("-")
    shifted = {"Content-Range": f"{unit} {int(begin) + int(parameters.get('by', 1))}-{rest}"}
    return await _send(visit, replace(answer, headers={**answer.headers, **shifted}), parameters)


async def _send(visit: Visit, answer: Answer, parameters: Parameters) -> web.StreamResponse:
    return await send(visit.request, answer, sized=bool(parameters.get("length", True)))


def first_bytes(answer: Answer, size: int) -> bytes:
    """So many bytes of the begin; below 0, all but so many."""
    size = size if size >= 0 else max(0, answer.size + size)
    body = bytearray()
    for piece in answer.pieces():
        body += piece[: size - len(body)]
        if len(body) >= size:
            break
    return bytes(body)


def small(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), size):
            yield piece[start : start + size]


BODY_KINDS: dict[str, Kind] = {
    "json200": _json200,
    "wrong_type": _wrong_type,
    "empty": _empty,
    "truncated": _truncated,
    "body": _body,
    "noise": _noise,
    "damaged": _damaged,
    "other_audio": _other_audio,
    "partial": _partial,
    "range_as_200": _range_as_200,
    "range_shifted": _range_shifted,
}
