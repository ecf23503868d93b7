"""An answer before it is sent: handlers describe it, faults may change it, one function sends it."""

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

#: the bytes of each write of a body in answer to the present request.
SENT: ContextVar[list[int]] = ContextVar("sent")


@dataclass
class Answer:
    """``pieces`` makes the body anew at each call; its pieces are ``size`` bytes together."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    pieces: Callable[[], Iterator[bytes]] = lambda: iter(())


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return bytes_answer(json.dumps(value).encode(), "application/json;charset=utf-8", status, headers)


def bytes_answer(body: bytes, content_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"Content-Type": content_type, **(headers or {})}, len(body), lambda: iter((body,)))


class _Counted(web.StreamResponse):
    """Notes in ``SENT`` how many bytes of the body were written."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        SENT.get([]).append(len(data))
        await super().write(data)


async def begin(request: web.Request, answer: Answer, *, sized: bool = True) -> web.StreamResponse:
    """Sends status and headers, with the length that ``size`` promises, or in chunks without one."""
    response = _Counted(status=answer.status, headers=answer.headers)
    if answer.status != 204 and sized:
        response.content_length = answer.size
    await response.prepare(request)
    return response


async def send(request: web.Request, answer: Answer, *, sized: bool = True) -> web.StreamResponse:
    response = await begin(request, answer, sized=sized)
    if request.method != "HEAD" and answer.status != 204:
        for piece in answer.pieces():
            await response.write(piece)
    await response.write_eof()
    return response
