"""What the heads of answers say of the bytes that follow, and whether a reply to a Range goes on where we are. Pure.

A download goes on only with a strong validator (an ETag that is not `W/`), sent as If-Range. The reply is judged by
its status and Content-Range, never by what seems to follow: some servers answer a Range with 200 and the bytes of the
range, others with 206 and other bytes. A 206 to If-Range must repeat the ETag and should leave out the type (RFC 9110,
15.3.7): without the ETag, it is of a server that may not have heeded If-Range. A date (Last-Modified) is no such
validator: a recording may be made anew within its second.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.ringcentral.errors import SourceFailed

_STRONG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
#: One range with its numbers; eighteen digits are more bytes than anybody has, and no number is slow to read.
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
#: A type of audio, not longer than any that there is: it stands in reasons and in the log.
_AUDIO: Final = re.compile(r"audio/[a-z0-9.+-]{1,60}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Told:
    """What the answers tell: bytes of the whole, and a strong validator, each None when there is none."""

    total: int | None
    validator: str | None


def content_type_of(status: int, headers: Mapping[str, str]) -> str:
    """The audio's type, when the head of an answer is one of audio; raises `SourceFailed` otherwise.

    RingCentral answers errors as JSON, at times with status 200; such a body is not a recording.
    """
    content_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if status not in {200, 206}:
        raise SourceFailed(f"the audio was answered with status {status}", status=status)
    if not _AUDIO.fullmatch(content_type):
        raise SourceFailed("the answer is not audio", status=status)
    if headers.get("content-encoding", "identity") != "identity":
        raise SourceFailed("the audio came compressed, although that was declined", status=status)
    if headers.get("content-length") == "0":
        raise SourceFailed("the audio is empty", status=status)
    return content_type


def content_type_of_rest(status: int, headers: Mapping[str, str], before: str) -> str:
    """The same of a reply to a Range; a part that does not repeat its type has that of `before`."""
    told = headers if status != 206 or "content-type" in headers else {**headers, "content-type": before}
    return content_type_of(status, told)


def told_by(status: int, headers: Mapping[str, str]) -> Told:
    """What the first answer tells; the server may answer 206 on its own (facts 5), as long as it begins at the begin.

    Raises `SourceFailed` for a part from elsewhere, or of nobody knows how much.
    """
    validator = headers.get("etag", "")
    strong = validator if _STRONG.fullmatch(validator) and headers.get("accept-ranges", "").lower() != "none" else None
    if status == 206:
        return Told(_part_from(0, None, headers), strong)
    return Told(length_of(headers), strong)


def reply_to_range(told: Told, received: int, status: int, headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole when a reply goes on behind the bytes received; None when it is the whole from its begin.

    Raises `SourceFailed` when it is neither for certain.
    """
    if status == 206:
        if "etag" not in headers:
            raise SourceFailed("a part was sent without its ETag, perhaps of other audio", status=status)
        if headers["etag"] != told.validator:
            raise SourceFailed("a part of other audio was sent", status=status)
        return _part_from(received, told.total, headers)
    length, changed = length_of(headers), headers.get("etag", told.validator) != told.validator
    if "content-range" in headers or (length != told.total and not changed):
        raise SourceFailed("a part was sent as if it were the whole", status=status)
    return None


def length_of(headers: Mapping[str, str]) -> int | None:
    """The Content-Length, if it is told and is a number."""
    told = headers.get("content-length", "")
    return int(told) if _LENGTH.fullmatch(told) else None


def _part_from(begin: int, total: int | None, headers: Mapping[str, str]) -> int:
    """The bytes of the whole that a part belongs to, when it begins there; raises `SourceFailed`.

    Without them nobody could say that the part is the last.
    """
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        raise SourceFailed("a part was sent without telling which", status=206)
    first, last, whole = int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])
    length = length_of(headers)
    if first != begin or last < first or (length is not None and length != last + 1 - first):
        raise SourceFailed("another part was sent than the one asked for", status=206)
    if total is not None and whole not in {None, total}:
        raise SourceFailed("a part of something of another length was sent", status=206)
    known = total if whole is None else whole
    if known is None:
        raise SourceFailed("a part was sent without telling of how much", status=206)
    if last >= known:
        raise SourceFailed("a part of something of another length was sent", status=206)
    return known
