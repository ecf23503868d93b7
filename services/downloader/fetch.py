"""Fetching: a recording's bytes, over as many requests as it takes. Each request is a slot of the budget."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, cast

import httpx
import structlog

from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import Forbidden, NoBudget, SourceFailed, Throttled, pause_asked_by
from common.telemetry.health import Work
from common.telemetry.metrics import DOWNLOAD_RESUMES, DOWNLOADED_BYTES
from services.downloader.ranges import Told, content_type_of, content_type_of_rest, reply_to_range, told_by
from services.downloader.throughput import Throughput, TooSlow
from services.downloader.waits import Waits

#: Requests for a rest in one attempt: a minute's budget of one user (facts 6). What takes more of them is left to the
#: schedule, and the budget to others.
MOST_RESUMES: Final = 10
#: Seconds before the rest is asked for once more when that failed: what cuts a connection lasts a moment. Not oftener,
#: as it cuts all connections at once, and these requests go before all others.
_PAUSE: Final = 10.0
#: Who has spent a slot on audio goes first for the next one, or that slot is lost.
FINISHING: Final = Priority.POLL
#: What the body of an error begins with: JSON, HTML, XML; no audio does.
_TEXT: Final = (b"{", b"[", b"<")
#: White space and the byte order mark.
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"


def ask_for(uri: str, priority: Priority, headers: Mapping[str, str]) -> Ask:
    """The request for a recording's content, which is heavy (facts 5); compressed audio would hide its length."""
    headers = {"Accept": "audio/*", "Accept-Encoding": "identity", **headers}
    return Ask("GET", uri, Group.HEAVY, priority, headers=headers)


class Anew(Exception):
    """The source sends the whole from its begin: what was taken is to be dropped, and `chunks` to be read again."""


class _Broken(Exception):
    """The connection was lost, or is not worth keeping; the text says how."""


class Source:
    """The audio at a URI. Open as long as the `async with` lasts; raises the client's errors and `SourceFailed`."""

    def __init__(self, client: RingCentral, uri: str, priority: Priority, work: Work, waits: Waits) -> None:
        self._client = client
        self._uri = uri
        self._priority = priority
        self._work = work
        self._throughput = Throughput()
        self._stack = AsyncExitStack()
        self._told = Told(None, None)
        self._received = 0
        self._resumes = 0
        self.waits = waits
        #: The type that the first answer tells.
        self.content_type = ""

    async def __aenter__(self) -> Self:
        try:
            await self._ask({}, self._priority)
            self.content_type = content_type_of(self._answer.status_code, self._answer.headers)
            self._told = told_by(self._answer.status_code, self._answer.headers)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def sized(self) -> bool:
        """Whether it told how many bytes there are."""
        return self._told.total is not None

    @property
    def framed(self) -> bool:
        """Whether it tells where the audio ends: by a number of bytes or a last chunk, not by the connection's end."""
        return self.sized or "chunked" in self._answer.headers.get("transfer-encoding", "").lower()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order, whole or with an error.

        Raises `Anew` when the source began again; then this is called again.
        """
        while True:
            try:
                async with aclosing(self._body()) as body:
                    async for chunk in body:
                        yield chunk
                why = "it ended early"
            except _Broken as fault:
                why = str(fault)
            else:
                if self._is_whole():
                    return
            await self._go_on(why)

    async def _body(self) -> AsyncGenerator[bytes, None]:
        """The body of the present answer."""
        try:
            async with aclosing(cast("AsyncGenerator[bytes, None]", self._answer.aiter_raw())) as body:
                while True:
                    asked = time.monotonic()
                    with self.waits.on("source"):
                        chunk = await anext(body, None)
                    if chunk is None:
                        return
                    self._throughput.came(len(chunk), time.monotonic() - asked)
                    if self._received == 0 and chunk.lstrip(_BLANK).startswith(_TEXT):
                        raise SourceFailed("the answer is an error's text, not audio", status=200)
                    self._received += len(chunk)
                    DOWNLOADED_BYTES.inc(len(chunk))
                    self._work.progress()
                    yield chunk
        except httpx.HTTPError as error:
            raise _Broken(type(error).__name__) from None
        except TooSlow:
            raise _Broken("too slow") from None

    def _is_whole(self) -> bool:
        """Whether all has come; false when the answer was a part. Raises `SourceFailed`."""
        total = self._told.total
        if self._received == 0 or (total is not None and self._received > total):
            raise SourceFailed(f"the audio has {self._received} bytes, {total or 'more than none'} were announced")
        return total is None or self._received == total

    async def _go_on(self, why: str) -> None:
        """Ask for the rest; raises `Anew`, or `SourceFailed` when that cannot be done safely, or not within the budget:
        an attempt that received bytes counts, or one that never gets through would be made for ever.
        """
        validator, received = self._told.validator, self._received
        if validator is None and self._answer.status_code == 206:
            raise SourceFailed(f"a part of the audio came, {received} bytes, and no ETag by which to ask for the rest")
        if validator is None or received == 0 or self._resumes == MOST_RESUMES:
            raise SourceFailed(f"the audio broke off after {received} bytes: {why}")
        await self._stack.aclose()
        try:
            await self._ask_for_rest({"Range": f"bytes={received}-", "If-Range": validator})
        except (NoBudget, Throttled, Forbidden, SourceFailed) as error:
            broken = f"the audio broke off after {received} bytes: {why}; the rest could not be asked for: {error}"
            raise SourceFailed(broken, retry_after=pause_asked_by(error)) from None
        status, headers = self._answer.status_code, self._answer.headers
        if content_type_of_rest(status, headers, self.content_type) != self.content_type:
            raise SourceFailed("the rest of the audio is of another type", status=status)
        total = reply_to_range(self._told, received, status, headers)
        reply = "anew" if total is None else "goes on"
        DOWNLOAD_RESUMES.labels(reply).inc()
        structlog.get_logger().info("download_resumed", bytes=received, reason=why, reply=reply)
        if total is None:
            self._told, self._received = told_by(status, headers), 0
            raise Anew
        self._told = replace(self._told, total=total)

    async def _ask_for_rest(self, headers: Mapping[str, str]) -> None:
        """Send the request for the rest, and once more after `_PAUSE`, unless RingCentral asks for a longer one."""
        self._resumes += 1
        try:
            await self._ask(headers, FINISHING)
        except SourceFailed as error:
            if pause_asked_by(error) > _PAUSE or self._resumes == MOST_RESUMES:
                raise
        else:
            return
        with self.waits.on("source"):
            await asyncio.sleep(_PAUSE)
        self._resumes += 1
        await self._ask(headers, FINISHING)

    async def _ask(self, headers: Mapping[str, str], priority: Priority) -> None:
        """Send a request; waiting for budget is no stall."""
        ask = ask_for(self._uri, priority, headers)
        with self._work.waiting(), self.waits.on("budget"):
            self._answer = await self._stack.enter_async_context(self._client.stream(ask))
