"""The client: every request takes a slot, carries the shared token, and ends in an answer or one of our errors."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.ringcentral.budget import REQUEST_TIMEOUT, Budget, Grant, Group, Priority
from common.ringcentral.credentials import Credential, credentials_of
from common.ringcentral.errors import (
    CredentialRefused,
    ForeignHost,
    RingCentralError,
    SourceFailed,
    Unauthenticated,
    error_of,
    retry_after,
)
from common.ringcentral.token import AccessToken, SharedToken
from common.settings import RingCentralSettings
from common.telemetry.metrics import RINGCENTRAL_REQUESTS

#: Seconds a request waits for its slot before it is given up; a job waits no longer than a window .
PATIENCE: Final = 60.0
#: Redirects that are followed: none are documented for media, "follow Location" is the general rule (facts 5, 8).
_REDIRECTS: Final = 3
#: An error body is read up to here: real ones have some hundred bytes.
_ERROR_BYTES: Final = 64 * 1024


class _GrantTooOld(Exception):
    """The process was held up between grant and request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to ask. `url` is a path of the API server, or absolute."""

    method: str
    url: str
    group: Group
    priority: Priority = Priority.LIVE
    params: Sequence[tuple[str, str]] = ()
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: The fingerprint of the only credential that may be used.
    credential: str | None = None
    patience: float = PATIENCE


class RingCentral:
    """RingCentral, as seen by one process. Use `open_ringcentral`."""

    def __init__(
        self,
        settings: RingCentralSettings,
        *,
        credentials: Sequence[Credential],
        http: httpx.AsyncClient,
        pool: Pool,
        clock: Clock,
    ) -> None:
        self.account_id = settings.rc_account_id
        self.budget = Budget(pool, settings.rc_client_id)
        self._server_url = settings.rc_server_url
        self._allowed = {_place(self._server_url), *(_place(f"https://{host}") for host in settings.rc_media_hosts)}
        self._http = http
        self._tokens = {
            credential.fingerprint: SharedToken(
                credential, server_url=self._server_url, http=http, pool=pool, budget=self.budget, clock=clock
            )
            for credential in credentials
        }

    @property
    def credentials(self) -> list[str]:
        """The fingerprints of the credentials, in the order of the setting."""
        return list(self._tokens)

    async def check_account(self) -> None:
        """Make sure that every credential works and belongs to `RC_ACCOUNT_ID`.

        Raises `CredentialRefused` with a sentence for the operator.
        """
        for fingerprint in self._tokens:
            body = await self.json(Ask("GET", "/restapi/v1.0/account/~", Group.LIGHT, credential=fingerprint))
            if str(body.get("id")) != self.account_id:
                raise CredentialRefused("a credential of RC_JWT belongs to another account than RC_ACCOUNT_ID")

    async def json(self, ask: Ask) -> dict[str, Any]:
        """The answer's JSON object, empty for 204; raises one of the errors."""
        async with self.stream(ask) as answer:
            try:
                body = await answer.aread()
                value = answer.json() if body else {}
            except (httpx.HTTPError, ValueError) as error:
                raise SourceFailed(f"the answer could not be read: {type(error).__name__}") from None
        if not isinstance(value, dict):
            raise SourceFailed("the answer is not a JSON object")
        return value

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncIterator[httpx.Response]:
        """The answer with its body still to be read, after redirects to allowed hosts; raises one of the errors.

        A connection that is lost while the body is read raises httpx's own error in the caller.
        """
        url = urljoin(self._server_url, ask.url)
        for _ in range(_REDIRECTS + 1):
            answer = await self._authorised(ask, url)
            try:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["location"])
                    continue
                if answer.status_code >= 300:
                    raise error_of(answer.status_code, answer.headers, await _error_body(answer))
                yield answer
                return
            finally:
                await answer.aclose()
        raise SourceFailed("RingCentral redirects in circles")

    async def _authorised(self, ask: Ask, url: str) -> httpx.Response:
        """Send with a token; one that is refused is replaced once."""
        if _place(url) not in self._allowed:
            raise ForeignHost(f"the host {urlsplit(url).hostname} is not in RC_MEDIA_HOSTS")
        for attempt in (1, 2):
            answer, shared, token = await self._granted(ask, url)
            if answer.status_code != 401:
                return answer
            error = error_of(401, answer.headers, await _error_body(answer))
            await answer.aclose()
            await shared.drop(token)
            structlog.get_logger().info("token_refused", code=error.code, attempt=attempt)
        raise Unauthenticated("RingCentral refuses a new access token as well", status=401)

    async def _granted(self, ask: Ask, url: str) -> tuple[httpx.Response, SharedToken, AccessToken]:
        """Send within the budget of whichever credential has some; a 429 closes it for everybody."""
        while True:
            candidates = await self._candidates(ask.credential)
            grant = await self.budget.take(list(candidates), ask.group, ask.priority, patience=ask.patience)
            shared, token = candidates[grant.owner_id]
            try:
                answer = await self._send(ask, url, token, grant)
            except _GrantTooOld:
                await self.budget.give_back(grant)
                continue
            RINGCENTRAL_REQUESTS.labels(ask.group.value, str(answer.status_code)).inc()
            try:
                await self._account_for(answer, grant)
            except BaseException:
                await answer.aclose()
                raise
            return answer, shared, token

    async def _account_for(self, answer: httpx.Response, grant: Grant) -> None:
        """Correct the budget by the answer; a 429 closes it and is raised."""
        await self.budget.settle(grant, answer.headers)
        if answer.status_code == 429:
            error = error_of(429, answer.headers, await _error_body(answer))
            await self.budget.close(grant, retry_after(answer.headers), answer.headers)
            raise error

    async def _candidates(self, only: str | None) -> dict[str, tuple[SharedToken, AccessToken]]:
        """The tokens that may be used, by owner: two credentials of one user share one budget."""
        found: dict[str, tuple[SharedToken, AccessToken]] = {}
        refused: RingCentralError | None = None
        for fingerprint, shared in self._tokens.items():
            if only is None or only == fingerprint:
                try:
                    token = await shared.get()
                except CredentialRefused as error:
                    refused = error
                    structlog.get_logger().error("credential_refused", credential=fingerprint[:8], code=error.code)
                else:
                    found.setdefault(token.owner_id, (shared, token))
        if not found:
            raise refused or CredentialRefused("the credential that is asked for is not in RC_JWT")
        return found

    async def _send(self, ask: Ask, url: str, token: AccessToken, grant: Grant) -> httpx.Response:
        async def still_usable(event: str, _info: object) -> None:
            if event.endswith("send_request_headers.started") and not grant.usable():
                raise _GrantTooOld

        request = self._http.build_request(
            ask.method,
            url,
            params=list(ask.params) or None,
            json=ask.json,
            headers={"Authorization": f"Bearer {token.secret}", **ask.headers},
            extensions={"trace": still_usable},
        )
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                return await self._http.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            RINGCENTRAL_REQUESTS.labels(ask.group.value, "none").inc()
            raise SourceFailed(f"RingCentral gave no answer: {type(error).__name__}") from None


async def _error_body(answer: httpx.Response) -> object:
    held = bytearray()
    try:
        async for chunk in answer.aiter_bytes():
            held += chunk
            if len(held) > _ERROR_BYTES:
                return None
        return httpx.Response(200, content=bytes(held)).json()
    except (httpx.HTTPError, ValueError):
        return None


def _place(url: str) -> tuple[str | None, int]:
    """Host and port of a URL; the default port counts as named (facts 4.2: `contentUri` comes with and without)."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


@asynccontextmanager
async def open_ringcentral(settings: RingCentralSettings, pool: Pool, clock: Clock) -> AsyncIterator[RingCentral]:
    """The client for as long as the block lasts; nothing is asked before the first request."""
    timeout = httpx.Timeout(connect=5.0, read=30.0, write=10.0, pool=10.0)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0)
    headers = {"User-Agent": "ringvault", "Accept-Language": "en-US"}
    async with httpx.AsyncClient(timeout=timeout, limits=limits, headers=headers, follow_redirects=False) as http:
        yield RingCentral(settings, credentials=credentials_of(settings), http=http, pool=pool, clock=clock)
