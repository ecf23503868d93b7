"""One request on one grant: sent while the grant is fresh, and accounted for whatever comes of it."""

import asyncio
from contextlib import suppress
from typing import Final

import httpx
import structlog

from common.database.pool import DatabaseAway
from common.ringcentral.budget import REQUEST_TIMEOUT, Budget, Grant
from common.ringcentral.errors import SourceFailed, error_of
from common.telemetry.metrics import RINGCENTRAL_REQUESTS

#: An error body is read up to here: real ones have some hundred bytes.
_ERROR_BYTES: Final = 64 * 1024
#: Seconds that an error body may take; the status says enough without it.
_ERROR_BODY_TIMEOUT: Final = 5.0


class GrantTooOld(Exception):
    """The process was held up between grant and request, or a 429 came in between; the grant went back unsent."""


async def exchange(
    http: httpx.AsyncClient, budget: Budget, grant: Grant, request: httpx.Request, *, timeout: float = REQUEST_TIMEOUT
) -> httpx.Response:
    """Send, and return the answer with its body still to be read; `timeout` seconds count from the grant.

    Raises `GrantTooOld`, `SourceFailed` when there is no answer, and `Throttled` on a 429, which closes the budget.
    """
    sent = False

    async def right_before_sending(event: str, _info: object) -> None:
        nonlocal sent
        if event.endswith(".send_request_headers.started"):
            if not await budget.still_usable(grant):
                raise GrantTooOld
            sent = True

    request.extensions = {**request.extensions, "trace": right_before_sending}
    try:
        async with asyncio.timeout(max(0.0, timeout - grant.age)):
            answer = await http.send(request, stream=True)
    except (httpx.HTTPError, TimeoutError) as error:
        await _unanswered(budget, grant, error, sent=sent)
        if not sent and not budget.usable(grant):
            raise GrantTooOld from None
        RINGCENTRAL_REQUESTS.labels(grant.group.value, "none").inc()
        raise SourceFailed(f"RingCentral gave no answer: {type(error).__name__}") from None
    except BaseException as error:  # too old, or cancelled
        await _unanswered(budget, grant, error, sent=sent)
        raise
    try:
        await _account_for(answer, budget, grant)
    except BaseException:
        await answer.aclose()
        raise
    return answer


async def _unanswered(budget: Budget, grant: Grant, error: BaseException, *, sent: bool) -> None:
    """What was not sent goes back; after mere silence it may still arrive, and keeps its slot as long as that."""
    with suppress(DatabaseAway):  # the slot is free by itself when its time is over
        if not sent:
            await budget.give_back(grant)
        elif not isinstance(error, httpx.TimeoutException | TimeoutError):
            await budget.settle(grant, {})


async def _account_for(answer: httpx.Response, budget: Budget, grant: Grant) -> None:
    """Correct the budget by the answer's head; a 429 closes it before anything else is done, and is raised.

    An answer in hand outlives a database that is away: the slot is free by itself when its time is over.
    """
    RINGCENTRAL_REQUESTS.labels(grant.group.value, str(answer.status_code)).inc()
    try:
        if answer.status_code == 429:
            await asyncio.shield(budget.close(grant, answer.headers))
        await budget.settle(grant, answer.headers)
    except asyncio.CancelledError:
        with suppress(DatabaseAway):
            await budget.settle(grant, {})
        raise
    except DatabaseAway as error:
        structlog.get_logger().warning("budget_not_settled", error=str(error))
    if answer.status_code == 429:
        raise error_of(429, answer.headers, await error_body(answer))


async def error_body(answer: httpx.Response) -> object:
    """The JSON of an error answer, or None; reads no more than is worth it."""
    held = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT):
            async for chunk in answer.aiter_bytes():
                held += chunk
                if len(held) > _ERROR_BYTES:
                    return None
        return httpx.Response(200, content=bytes(held)).json()
    except (httpx.HTTPError, TimeoutError, ValueError):
        return None
