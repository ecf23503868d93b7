"""Names of objects: from any input to an alphabet that every storage takes, and never two inputs to one name.

Letters, digits and `-` stand for themselves. Everything else, `_` and `.` included, becomes `_` and two hex digits
per UTF-8 byte, so that the escape can be read back and no name holds `..`, `%`, a space or anything else that Supabase
Storage, a proxy or a file system refuses or rewrites. What grows too long is cut and ends in `_-` and its sha256;
`_-` occurs in no escape, so a cut name equals no other.
"""

import hashlib
import re
import string
from datetime import UTC, date, datetime

#: What stands for itself in a part of a name: the unreserved characters of URLs without `~` (Supabase refuses it)
#: and without `.` and `_`, which have jobs of their own here.
PLAIN = frozenset((string.ascii_letters + string.digits + "-").encode())

#: The longest escaped part of a name: far beyond RingCentral's ids, and with extension and the decoration of a
#: temporary file still below the 255 bytes of a file name.
LONGEST_PART = 150

#: How much of a part that is too long stays readable: with `_-` and 64 hex digits it is not longer than the longest.
READABLE_PART = 80

#: Extensions by media type; whatever else arrives is kept as `bin` rather than refused.
EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mpga": "mp3",
    "audio/mpeg3": "mp3",
    "audio/x-mp3": "mp3",
    "audio/x-mpeg-3": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
}

#: The extension of what stands beside an audio file; no audio has it.
SIDECAR = ".json"
#: The folder of an account that holds the journal, beside those of the domains, and the extension of its pieces.
JOURNAL = "journal"
PIECE = ".ndjson.gz"

#: What `check_name` lets through: parts that begin with a letter, digit, `_` or `-`, so none is hidden, `.` or `..`.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def recording_object_name(
    account_id: str, domain: str, started_at: datetime, source_record_id: str, content_type: str
) -> str:
    """`{account_id}/{domain}/{yyyy}/{mm}/{dd}/{source_record_id}.{ext}`, the day in UTC.

    Different ids never share a name (within the case-sensitivity of the storage). Raises `ValueError` for a time
    without a zone.
    """
    if started_at.tzinfo is None:
        raise ValueError("The start of a recording has no time zone: its day in UTC is unknown.")
    day = started_at.astimezone(UTC)
    folder = f"{_part(account_id)}/{_part(domain)}/{day.year:04d}/{day.month:02d}/{day.day:02d}"
    return f"{folder}/{_part(source_record_id)}.{_extension(content_type)}"


def journal_object_name(account_id: str, day: date, number: int, writing: str) -> str:
    """`{account_id}/journal/{yyyy}/{mm}/{dd}-{number}-{writing}.ndjson.gz`: one piece of a day of the journal.

    `writing` tells it from any other that was begun with the same number.
    """
    folder = f"{account_folder(account_id)}/{JOURNAL}/{day.year:04d}/{day.month:02d}"
    return f"{folder}/{day.day:02d}-{number:04d}-{writing}{PIECE}"


def account_folder(account_id: str) -> str:
    """Where everything of an account is."""
    return _part(account_id)


def sidecar_name(audio_object: str) -> str:
    """The `.json` beside an audio file."""
    return f"{audio_object.rpartition('.')[0] or audio_object}{SIDECAR}"


def check_name(name: str) -> str:
    """The name itself when every storage takes it; raises `ValueError` for one that could escape or be refused."""
    if not _NAME.fullmatch(name):
        raise ValueError("An object's name has characters or parts that no storage should be asked for.")
    return name


def _part(text: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")  # JSON can carry lone surrogates.
    escaped = "".join(chr(byte) if byte in PLAIN else f"_{byte:02x}" for byte in raw)
    if 0 < len(escaped) <= LONGEST_PART:
        return escaped
    return f"{escaped[:READABLE_PART]}_-{hashlib.sha256(raw).hexdigest()}"


def _extension(content_type: str) -> str:
    return EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "bin")
