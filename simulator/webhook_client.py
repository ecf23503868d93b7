"""What RingCentral sends to a webhook: the handshake of facts 2.1 and the events of facts 2.2.

The time limit of three seconds is a real one: it is not divided by the speed.
"""

import uuid

import aiohttp

from simulator.errors import Refusal

#: real seconds that a receiver has for its answer (facts 2.1).
ANSWER_SECONDS = 3.0
#: bytes that the handshake's answer may have, headers and body together (facts 2.1).
HANDSHAKE_BYTES = 1024
#: real seconds that an idle connection is kept: enough for a burst of events.
KEEPALIVE_SECONDS = 0.1
HEADERS = {"Accept": "application/json", "User-Agent": "RingCentral-Webhook/8.3"}


class WebhookClient:
    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        # Bytes are counted as they come over the wire, so nothing is unpacked.
        # An empty handshake has no media type.
        self._session = aiohttp.ClientSession(
            # Hardly ever an old connection: a kept one that the receiver just closed would lose an event.
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=["Content-Type"],
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._session.close()

    async def handshake(self, address: str) -> None:
        """Raises Refusal 400 with the SUB code of the first rule that the receiver breaks."""
        token = str(uuid.uuid4())
        headers = {**HEADERS, "Validation-Token": token, "Content-Length": "0"}
        try:
            async with self._session.post(address, data=b"", headers=headers, allow_redirects=False) as response:
                body = await _at_most(response, HANDSHAKE_BYTES + 1)
        except aiohttp.ClientSSLError as error:
            raise _refused("SUB-524", "HTTPS certificate is invalid") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _refused("SUB-521", "WebHook is not reachable") from error
        _check_handshake(response, token, body)

    async def deliver(self, address: str, verification_token: str | None, body: bytes) -> str | None:
        """Sends one event as it is; None when it was answered 200, otherwise the reason as blacklistedData words it."""
        headers = {**HEADERS, "Content-Type": "application/json; charset=UTF-8"}
        if verification_token:
            headers["Verification-Token"] = verification_token
        try:
            async with self._session.post(address, data=body, headers=headers, allow_redirects=False) as response:
                await response.read()
        except TimeoutError:
            return "I/O operation is failed. Details: [Read timed out]"
        except (aiohttp.ClientError, OSError):
            return "I/O operation is failed. Details: [Connection refused]"
        if response.status == 200:
            return None
        return f"Webhook responses with code: [{response.status}], reason: [{response.reason}]"


def _check_handshake(response: aiohttp.ClientResponse, token: str, body: bytes) -> None:
    if response.status != 200:
        raise _refused("SUB-522", f"WebHook responds with incorrect HTTP status. HTTP status is {response.status}")
    if response.headers.get("Validation-Token") != token:
        raise _refused("SUB-520", "WebHook server response doesn't contain the validation token header")
    if _bytes_of_headers(response) + len(body) > HANDSHAKE_BYTES:
        raise _refused("SUB-525", f"WebHook server response is invalid: larger than {HANDSHAKE_BYTES} bytes")
    if response.content_type != "application/json" or "Content-Type" not in response.headers:
        raise _refused("SUB-525", "WebHook server response is invalid: Content-Type is not application/json")


def _bytes_of_headers(response: aiohttp.ClientResponse) -> int:
    """Status line, header lines and the empty line, as they came over the wire."""
    status_line = len(f"HTTP/1.1 {response.status} {response.reason}\r\n")
    return status_line + sum(len(name) + len(value) + 4 for name, value in response.raw_headers) + 2


async def _at_most(response: aiohttp.ClientResponse, size: int) -> bytes:
    body = b""
    while len(body) < size and (piece := await response.content.read(size - len(body))):
        body += piece
    return body


def _refused(code: str, message: str) -> Refusal:
    return Refusal(400, code, message)
