"""The client's connections: one that is closed while a server takes nothing any more ends all the same."""

import socket
import sys
from collections.abc import Mapping
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from common.storage.s3_requests import REQUEST_SECONDS

#: Seconds for which a server may take nothing of what was sent to it: by then the request was given up.
UNTAKEN_SECONDS = REQUEST_SECONDS


class S3Connections(AIOHTTPSession):
    """The library's own, but for how a socket is made.

    aiohttp closes a connection by sending first what is still to be sent, however long that takes; without TLS nothing
    else ends it. A server that stands still would cost a socket for each attempt.
    """

    def __init__(self, *, connector_args: Mapping[str, Any] | None = None, **others: Any) -> None:
        super().__init__(connector_args={**(connector_args or {}), "socket_factory": _socket}, **others)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    if sys.platform == "linux":  # other systems have no such limit, or another name for it.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNTAKEN_SECONDS * 1000))
    return made
