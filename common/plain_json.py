"""Reading foreign JSON: strictly as JSON, tolerantly as data, and as something that Postgres can hold."""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

#: What JSON may hold and Postgres may not: U+0000, and surrogates without their other half.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


#: Levels that foreign JSON may have: real data has ten, and Python, which has a thousand frames and needs several for
#: each, must be able to copy, compare and write down what is let in here.
_DEEPEST = 100


class NotJson(Exception):
    """The bytes are not JSON, or none that we take; the text says why without quoting them."""


#: Years in which a time is believed: RingCentral began in 1999, and room on both sides keeps sums within `datetime`.
YEARS: Final = range(2000, 2200)
#: Milliseconds that a call or a recording lasts at most: a month. RingCentral names no longest call (facts 4.3).
LONGEST_MS: Final = 31 * 86_400_000


def read_json(raw: bytes) -> Any:
    """The value, strictly: `NaN` and `Infinity` are not JSON. Raises `NotJson`."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise NotJson("it is not UTF-8") from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:  # also an integer of more digits than Python reads
        raise NotJson("it is not JSON") from None


def _refuse(_constant: str) -> None:
    raise ValueError


def storable(value: Any, levels: int = _DEEPEST) -> Any:
    """The value without what Postgres cannot hold (U+FFFD or null in its place); the same object when all is well.

    Raises `NotJson` when it has more levels than that.
    """
    if levels < 0:
        raise NotJson("it is nested too deeply")
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value) if _UNSTORABLE.search(value) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        items = [storable(item, levels - 1) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if isinstance(value, dict):
        pairs = {storable(key): storable(item, levels - 1) for key, item in value.items()}
        unchanged = all(key in pairs and pairs[key] is item for key, item in value.items())
        return value if unchanged else pairs
    return value


def text_of(value: Any) -> str | None:
    """Text, or a number as text (ids come as both); anything else is nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def whole_number_of(value: Any) -> int | None:
    """A whole number that fits a Postgres bigint, not negative; anything else is nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    return int(value)


def milliseconds_of(value: Any) -> int | None:
    """A whole number of milliseconds, of `LONGEST_MS` at most; anything else is nothing."""
    number = whole_number_of(value)
    return number if number is not None and number <= LONGEST_MS else None


def time_of(value: Any) -> datetime | None:
    """An ISO 8601 time as aware UTC; without an offset it counts as UTC; anything else is nothing.

    So is a time outside `YEARS`: it cannot be reckoned with.
    """
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        time = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in YEARS else None


def map_of(value: Any) -> dict[str, Any]:
    """An object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """An array; anything else is an empty one."""
    return value if isinstance(value, list) else []
