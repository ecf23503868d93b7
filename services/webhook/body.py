"""Reading a request's body, in bounds: what is too large or does not arrive whole is refused."""

from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping

from services.webhook.answers import Outcome, Refused

#: A transcript of an hour is about 200 KB; nothing larger than this is an event. Below RabbitMQ's limit of 16 MiB.
BODY_LIMIT: Final = 8 * 1024 * 1024

#: How aiohttp says that a body broke off or is not encoded as it claims; a `RuntimeError` that the sender has left.
_BROKEN: Final = (aiohttp.ClientError, HttpProcessingError, web.RequestPayloadError, ConnectionError, RuntimeError)


async def first_bytes(request: web.BaseRequest) -> bytes:
    """The beginning of the body; nothing when it is empty."""
    return await _next(request)


async def whole_body(request: web.BaseRequest, first: bytes) -> bytes:
    """The body that begins with `first`; raises `Refused` at the first byte over the limit, with the rest unread.

    aiohttp reads and drops that rest for some seconds after the answer, so that the sender gets to see it.
    """
    parts, size = [first], len(first)
    while part := await _next(request):
        size += len(part)
        demand_size(size)
        parts.append(part)
    return b"".join(parts)


def demand_plain(headers: MultiMapping[str]) -> None:
    """Raise `Refused` when the body is compressed: nothing here inflates, so that no small body becomes a large one."""
    if any(value.strip().lower() not in {"", "identity"} for value in headers.getall("Content-Encoding", [])):
        raise Refused(Outcome.WRONG_ENCODING, "the body is compressed; send it as it is")


def demand_size(size: int | None) -> None:
    """Raise `Refused` when so many bytes, arrived or declared, are too many."""
    if size is not None and size > BODY_LIMIT:
        raise Refused(Outcome.TOO_LARGE, f"the body is larger than {BODY_LIMIT} bytes")


async def _next(request: web.BaseRequest) -> bytes:
    try:
        return await request.content.readany()
    except _BROKEN:
        raise Refused(Outcome.MALFORMED, "the body did not arrive whole") from None
