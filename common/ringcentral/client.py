"""The client: every request takes a slot, carries the shared token, and ends in an answer or one of our errors."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore
import httpx
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.ringcentral.budget import Budget, Group, Priority
from common.ringcentral.credentials import Credential, credentials_of
from common.ringcentral.endpoints import endpoint_of
from common.ringcentral.errors import (
    CredentialRefused,
    Forbidden,
    NoBudget,
    RingCentralError,
    SourceFailed,
    Unauthenticated,
    error_of,
)
from common.ringcentral.exchange import GrantTooOld, error_body, exchange
from common.ringcentral.hosts import AllowedHosts, joined
from common.ringcentral.service_users import Need, ServiceUser, ServiceUsers
from common.ringcentral.token import AccessToken, SharedToken
from common.ringcentral.token_endpoint import TokenEndpoint
from common.settings import RingCentralSettings

#: Seconds a request waits for its slot before it is given up; a job waits no longer than a window (facts 6).
PATIENCE: Final = 60.0
#: Seconds after which a waiting request looks whether more users have come to be ready, as long as some are not.
_GATHERING: Final = 1.0
#: Bytes of one read: asyncio has so many in hand at most. httpcore asks for a quarter of that, and each read costs the
#: same: 2.6 s of CPU a GB instead of 1.0 s.
_READ_BYTES: Final = 256 * 1024
#: Redirects that are followed: none are documented for media, "follow Location" is the general rule (facts 5, 8).
_REDIRECTS: Final = 3


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
        self._server_url = httpx.URL(settings.rc_server_url)
        self._hosts = AllowedHosts(self._server_url, settings.rc_media_hosts)
        self._http = http
        endpoint = TokenEndpoint(settings.rc_server_url, http, self.budget)
        tokens = [
            SharedToken(credential, endpoint=endpoint, pool=pool, budget=self.budget, clock=clock)
            for credential in credentials
        ]
        self._users = ServiceUsers([ServiceUser(n, token, self._prove) for n, token in enumerate(tokens, 1)])

    @property
    def credentials(self) -> list[str]:
        """The fingerprints of the credentials that are not refused, in the order of the setting; or else of all."""
        return self._users.fingerprints

    def knows(self, fingerprint: str) -> bool:
        """Whether a credential is in the setting, refused or not."""
        return self._users.knows(fingerprint)

    async def check_account(self) -> None:
        """Make sure that credentials work and belong to `RC_ACCOUNT_ID`; those that do not are set aside.

        Raises `CredentialRefused` with a sentence for the operator when all are refused, and another error when none
        could be checked now; what could not be checked is checked before it is used.
        """
        await self._users.prove()

    async def close(self) -> None:
        """Leave off what is done beside the requests."""
        await self._users.close()

    async def _prove(self, user: ServiceUser) -> None:
        ask = Ask("GET", "/restapi/v1.0/account/~", Group.LIGHT, Priority.POLL, credential=user.fingerprint)
        async with self._stream(ask, proving=user) as answer:
            body = await _json_of(answer)
        if str(body.get("id")) != self.account_id:
            raise CredentialRefused("it belongs to another account than RC_ACCOUNT_ID")

    async def json(self, ask: Ask) -> dict[str, Any]:
        """The answer's JSON object, empty for 204; raises one of the errors."""
        async with self.stream(ask) as answer:
            return await _json_of(answer)

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncIterator[httpx.Response]:
        """The answer with its body still to be read, after redirects to allowed hosts; raises one of the errors.

        A connection that is lost while the body is read raises httpx's own error in the caller.
        """
        async with self._stream(ask) as answer:
            yield answer

    @asynccontextmanager
    async def _stream(self, ask: Ask, proving: ServiceUser | None = None) -> AsyncIterator[httpx.Response]:
        url = joined(self._server_url, ask.url)
        if ask.params:
            url = url.copy_merge_params(list(ask.params))
        for _ in range(_REDIRECTS + 1):
            answer = await self._answered(ask, url, proving)
            try:
                if not answer.has_redirect_location:
                    yield answer
                    return
                if ask.method != "GET":
                    raise SourceFailed(f"RingCentral redirects a {ask.method}", status=answer.status_code)
                url = joined(url, answer.headers["location"])
            finally:
                await answer.aclose()
        raise SourceFailed("RingCentral redirects in circles")

    async def _answered(self, ask: Ask, url: httpx.URL, proving: ServiceUser | None) -> httpx.Response:
        """The answer of whoever is not refused: a token that is refused is replaced once, then others are asked.

        Those who were refused what another got are set aside for its endpoint. A request that is one user's own is
        asked all the same: nobody else can do it.
        """
        self._hosts.check(url)
        endpoint = endpoint_of(ask.method, url.path)
        need = Need(only=ask.credential) if ask.credential else Need(endpoint)
        until = time.monotonic() + ask.patience
        replaced: set[ServiceUser] = set()
        refused: dict[ServiceUser, RingCentralError] = {}
        while True:
            answer, user, token = await self._granted(ask, url, need, until, refused, proving)
            if answer.status_code < 300 or answer.has_redirect_location:
                for other, reason in refused.items():
                    other.bar(endpoint, reason)
                return answer
            error = await _error_of(answer)
            if isinstance(error, Unauthenticated) and user not in replaced:
                replaced.add(user)
                await user.token.drop(token)
                structlog.get_logger().info("token_refused", code=error.code)
                continue
            refused[user] = error
            if not _is_of_user(error) or proving or not self._users.choice(need, refused):
                raise error

    async def _granted(
        self,
        ask: Ask,
        url: httpx.URL,
        need: Need,
        until: float,
        without: Collection[ServiceUser],
        proving: ServiceUser | None,
    ) -> tuple[httpx.Response, ServiceUser, AccessToken]:
        """Send within the budget of whoever has some."""
        while True:
            if proving is not None:
                await proving.token.refresh()
                if (token := proving.token.held()) is None:
                    continue
                ready = {token.owner_id: (proving, token)}
            else:
                ready = await self._users.ready(need, without)
            request = self._http.build_request(ask.method, url, json=ask.json, headers=dict(ask.headers))
            left = max(0.0, until - time.monotonic())
            patience = left if proving or self._users.complete(need) else min(left, _GATHERING)
            try:
                grant = await self.budget.take(list(ready), ask.group, ask.priority, patience=patience)
            except NoBudget:
                if patience < left:
                    continue
                raise
            user = ready[grant.owner_id][0]
            token = user.token.held()  # it may have been renewed, or dropped, while we waited
            if token is None or token.owner_id != grant.owner_id:
                await self.budget.give_back(grant)
                continue
            request.headers["Authorization"] = f"Bearer {token.secret}"
            try:
                return await exchange(self._http, self.budget, grant, request), user, token
            except GrantTooOld:
                _demand_time(until)


def _demand_time(until: float) -> None:
    """Raise `SourceFailed` when no time is left: connecting takes longer, again and again, than a grant is good."""
    if time.monotonic() > until:
        raise SourceFailed("RingCentral could not be reached while a grant was good")


def _is_of_user(error: RingCentralError) -> bool:
    """Whether another user may get what this one was refused."""
    return isinstance(error, Unauthenticated) or (isinstance(error, Forbidden) and error.of_user)


async def _error_of(answer: httpx.Response) -> RingCentralError:
    try:
        return error_of(answer.status_code, answer.headers, await error_body(answer))
    finally:
        await answer.aclose()


async def _json_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = await answer.aread()
        value = answer.json() if body else {}
    except (httpx.HTTPError, ValueError, RecursionError) as error:
        raise SourceFailed(f"the answer could not be read: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise SourceFailed("the answer is not a JSON object")
    return value


@asynccontextmanager
async def open_ringcentral(settings: RingCentralSettings, pool: Pool, clock: Clock) -> AsyncIterator[RingCentral]:
    """The client for as long as the block lasts; nothing is asked before the first request."""
    timeout = httpx.Timeout(connect=5.0, read=30.0, write=10.0, pool=10.0)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30.0)
    headers = {"User-Agent": "ringvault", "Accept-Language": "en-US"}
    httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = _READ_BYTES  # there is no argument for it.
    async with httpx.AsyncClient(timeout=timeout, limits=limits, headers=headers, follow_redirects=False) as http:
        client = RingCentral(settings, credentials=credentials_of(settings), http=http, pool=pool, clock=clock)
        try:
            yield client
        finally:
            await client.close()
