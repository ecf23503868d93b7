"""Which endpoint a request goes to: a permission is asked for by an endpoint, whatever the id (facts 1 to 5)."""

import re
from typing import Final

#: A part of a path that names the endpoint, such as `call-log` or `v1.0`; ids have digits or capitals, or are `~`.
_WORD: Final = re.compile(r"[a-z][a-z-]*|v[0-9.]+")


def endpoint_of(method: str, path: str) -> str:
    """The same for all ids: `GET /restapi/v1.0/account/*/recording/*/content`. It can be logged."""
    parts = [part if not part or _WORD.fullmatch(part) else "*" for part in path.split("/")]
    return f"{method} {'/'.join(parts)}"
