"""The multipart upload of one stream: two buffers at most, and nothing left open whatever goes wrong."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from common.storage.cancellation import to_the_end
from common.storage.interface import StorageError
from common.storage.parts import Parts

#: Seconds that clearing up may take before it is left to whoever finds the upload's id: within every grace period.
CLEANUP_SECONDS = 10.0

PartT = TypeVar("PartT")


class PartServer(Protocol[PartT]):
    """The four requests of a multipart upload of one object; `PartT` is what the server says of a part it took."""

    async def begin(self) -> str:
        """Open an upload and return its id."""

    async def send(self, upload_id: str, number: int, part: io.BytesIO) -> PartT:
        """Send one part; numbers begin with 1."""

    async def complete(self, upload_id: str, sent: list[PartT]) -> None:
        """Make the object visible."""

    async def abandon(self, upload_id: str) -> None:
        """Abort the upload; one that is not open any more is no error."""


async def put_in_parts(
    server: PartServer[PartT],
    parts: Parts,
    *,
    note_upload: Callable[[str], Awaitable[None]],
    before_commit: Callable[[], Awaitable[None]],
) -> None:
    """Send the parts, the first of which is gathered already; promises what `Storage.put` promises."""
    upload_id = await _begin(server)
    try:
        await note_upload(upload_id)
        sent = await _send_all(server, upload_id, parts)
        await before_commit()
        await server.complete(upload_id, sent)
    except BaseException as fault:
        await to_the_end(_abandon(server, upload_id, fault))
        raise


async def _begin(server: PartServer[PartT]) -> str:
    beginning = asyncio.ensure_future(server.begin())
    try:
        await asyncio.wait([beginning])
    except asyncio.CancelledError as fault:
        await to_the_end(_abandon_once_begun(server, beginning, fault))  # the server may have opened it by now.
        raise
    return beginning.result()


async def _send_all(server: PartServer[PartT], upload_id: str, parts: Parts) -> list[PartT]:
    """Send one part while the next is gathered."""
    sent: list[PartT] = []
    while True:
        more = parts.more
        sending = asyncio.ensure_future(server.send(upload_id, len(sent) + 1, parts.current))
        try:
            if more:
                await parts.advance()
            sent.append(await sending)
        except BaseException:
            sending.cancel()
            await to_the_end(_ended(sending))
            raise
        if not more:
            return sent


async def _abandon(server: PartServer[PartT], upload_id: str, fault: BaseException) -> None:
    try:
        async with asyncio.timeout(CLEANUP_SECONDS):
            await server.abandon(upload_id)
    except (StorageError, TimeoutError):
        fault.add_note("The multipart upload could not be aborted and may still be open.")


async def _abandon_once_begun(
    server: PartServer[PartT], beginning: "asyncio.Future[str]", fault: BaseException
) -> None:
    await asyncio.wait([beginning], timeout=CLEANUP_SECONDS)
    beginning.cancel()  # no effect on one that is done.
    await _ended(beginning)
    if not beginning.cancelled() and beginning.exception() is None:
        await _abandon(server, beginning.result(), fault)


async def _ended(future: "asyncio.Future[PartT]") -> None:
    """Wait for it, whatever became of it."""
    await asyncio.gather(future, return_exceptions=True)
