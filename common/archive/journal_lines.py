"""A day of the journal as gzipped NDJSON: one event a line, in the order of arrival, its bytes as they came."""

import base64
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Final

from common.messages import InsightsReceived

#: zlib's number for "with gzip's header", and its default window.
_GZIP: Final = 16 + zlib.MAX_WBITS
#: Bytes that one line may have: an event is 8 MiB at most, and base64 and escapes make it longer.
_LONGEST_LINE: Final = 64 * 2**20


class NotAnArchive(Exception):
    """An object is no piece of the journal, or is cut; the text says which line, never what it says."""


def line_of(event: InsightsReceived) -> bytes:
    """One line. What is not UTF-8 goes as base64, so that every byte comes back."""
    said: dict[str, Any] = {"account_id": event.account_id, "received_at": event.received_at.isoformat()}
    try:
        said["raw"] = event.raw.decode("utf-8")
    except UnicodeDecodeError:
        said["raw_base64"] = base64.b64encode(event.raw).decode()
    return json.dumps(said, ensure_ascii=True).encode() + b"\n"


def event_of(line: bytes) -> InsightsReceived:
    """The event of a line; raises `NotAnArchive`."""
    try:
        said = json.loads(line)
        coded = said.get("raw_base64")
        raw = said["raw"].encode("utf-8") if coded is None else base64.b64decode(coded, validate=True)
        received_at = datetime.fromisoformat(said["received_at"])
        account_id = str(said["account_id"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotAnArchive("a line is no event") from None
    if received_at.tzinfo is None:
        raise NotAnArchive("a line says no time zone")
    return InsightsReceived(account_id=account_id, raw=raw, received_at=received_at)


class Squeezed:
    """Lines → gzip, with the same bytes for the same lines."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(wbits=_GZIP)

    def add(self, lines: Iterable[bytes]) -> bytes:
        """What can be written so far; perhaps nothing."""
        return b"".join(self._compressor.compress(line) for line in lines)

    def end(self) -> bytes:
        """The rest."""
        return self._compressor.flush()


async def lines_in(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The lines of gzipped NDJSON; raises `NotAnArchive` when it is not, or ends too early."""
    decompressor, left = zlib.decompressobj(wbits=_GZIP), b""
    try:
        async for chunk in chunks:
            *lines, left = (left + decompressor.decompress(chunk)).split(b"\n")
            if len(left) > _LONGEST_LINE:
                raise NotAnArchive("a line is longer than any event")
            for line in lines:
                yield line
    except zlib.error:
        raise NotAnArchive("it is not gzipped") from None
    if not decompressor.eof or left:
        raise NotAnArchive("it ends in the middle")
