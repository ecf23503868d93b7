"""The access token of a credential, shared by all processes.

About five sessions exist per user and app; each mint beyond pushes an older one out (facts 7). So the token lies in a
row, encrypted; one process mints, the others wait for its result. A token is renewed well before it ends, by one
process, while all go on with the old one.
"""

import asyncio
import math
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import httpx
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Budget, Grant, Group, Priority
from common.ringcentral.credentials import Credential
from common.ringcentral.errors import CredentialRefused, NoBudget, SourceFailed, error_of
from common.ringcentral.exchange import GrantTooOld, error_body, exchange
from common.telemetry.metrics import TOKENS_MINTED

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Whose budget of the group auth a mint uses. The user is known only by the answer, and credentials may share one; so
#: all credentials of the app share the budget of one user, which is plenty for a mint an hour.
_MINTING_OWNER: Final = "any user"
#: Seconds that one token request may take.
_MINT_TIMEOUT: Final = 15.0
#: Seconds that the right to mint holds unless prolonged: above the time of a request. So long do the others wait for a
#: process that was killed while it minted.
_MINTER_HOLDS: Final = 20.0
#: Seconds that a minter waits for its slot before it prolongs its right.
_MINT_PATIENCE: Final = 3.0
#: Seconds after which whoever needs a token gives up: the group auth allows five a minute, so it may take a window.
_PATIENCE: Final = 65.0
#: Fraction of its lifetime after which a token is renewed: minutes before its end, as a renewal may fail a few times.
_RENEW_AFTER: Final = 0.85
#: Fraction of its lifetime up to which a token is used: early enough for a request to arrive before the end.
_USE_UNTIL: Final = 0.97
#: Seconds between two looks for a token that another process mints.
_LOOK_AGAIN: Final = 0.25
#: Seconds for which a refused credential is not tried again by any process: rarely enough for the group auth with many
#: processes, and soon enough for a person who has just mended it.
REFUSED_FOR: Final = 120.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token in use; `generation` tells a refused one from its successor."""

    secret: str = field(repr=False)
    owner_id: str
    generation: int
    renew_at: datetime
    expires_at: datetime


class SharedToken:
    """The token of one credential."""

    def __init__(
        self,
        credential: Credential,
        *,
        server_url: str,
        http: httpx.AsyncClient,
        pool: Pool,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self.credential = credential
        self._url = f"{server_url}/restapi/oauth/token"
        self._http = http
        self._pool = pool
        self._budget = budget
        self._clock = clock
        self._sql = statements("access_tokens")
        self._token: AccessToken | None = None
        self._turn = asyncio.Lock()

    def held(self) -> AccessToken | None:
        """The token that this process holds, if it may still be used."""
        token = self._token
        return token if token is not None and token.expires_at > self._clock.now() else None

    def due(self) -> bool:
        """Whether `refresh` has something to do."""
        return self._token is None or self._token.renew_at <= self._clock.now()

    async def refresh(self) -> None:
        """Find or mint a token that is not due for renewal; returns early while the old one is good and others mint.

        Raises `CredentialRefused` when RingCentral refuses the credential, `Throttled` or `SourceFailed` when it does
        not give a token now.
        """
        limit = asyncio.timeout(_PATIENCE)
        try:
            async with limit, self._turn:
                while self.due():
                    waiting = not await self._find_or_mint()
                    if self.held() is not None:
                        return
                    await asyncio.sleep(_LOOK_AGAIN * random.uniform(0.8, 1.2) if waiting else 0)
        except TimeoutError:
            if not limit.expired():
                raise
            raise SourceFailed("RingCentral gave no access token in time") from None

    async def drop(self, token: AccessToken) -> None:
        """Forget a token that RingCentral refused; its successor, when there is one already, stays."""
        if self._token is not None and self._token.generation == token.generation:
            self._token = None
        await self._pool.execute(self._sql["drop"], self.credential.fingerprint, token.generation)

    async def _find_or_mint(self) -> bool:
        """One step; False when another process is minting."""
        row = await self._pool.fetchrow(self._sql["find"], self.credential.fingerprint)
        self._token = self._read(row) or self.held()
        if not self.due():
            return True
        if row is not None and row["refused"]:
            raise _refused(row["refused_code"])
        minter, generation = uuid.uuid4(), row["generation"] if row is not None else 0
        if not await self._may_mint(minter, generation):
            return False
        try:
            while True:
                try:
                    await self._mint_as(minter)
                except (NoBudget, GrantTooOld):
                    if not await self._may_mint(minter, generation):
                        return False
                else:
                    return True
        finally:
            await self._pool.execute(self._sql["stop_minting"], self.credential.fingerprint, minter)

    def _read(self, row: asyncpg.Record | None) -> AccessToken | None:
        """The token in a row; one that cannot be read, or has ended, counts as absent."""
        if row is None or None in {row["ciphertext"], row["owner_id"], row["renew_at"], row["expires_at"]}:
            return None
        secret = self.credential.decrypt(row["ciphertext"])
        if secret is None or row["expires_at"] <= self._clock.now():
            return None
        return AccessToken(secret, row["owner_id"], row["generation"], row["renew_at"], row["expires_at"])

    async def _may_mint(self, minter: uuid.UUID, generation: int) -> bool:
        key = (self.credential.fingerprint, minter, _MINTER_HOLDS)
        return await self._pool.fetchval(self._sql["become_minter"], *key, generation) is not None

    async def _mint_as(self, minter: uuid.UUID) -> None:
        grant = await self._budget.take(
            [_MINTING_OWNER], Group.AUTH, Priority.POLL, patience=_MINT_PATIENCE, timeout=_MINT_TIMEOUT
        )
        asked_at = self._clock.now()
        body = await self._request(grant, minter)
        try:
            secret, lifetime = str(body["access_token"]), _lifetime_of(body)
            owner_id = str(body.get("owner_id") or f"credential {self.credential.fingerprint[:16]}")
        except (KeyError, TypeError, ValueError):
            raise SourceFailed("the token endpoint answered something that is no token") from None
        renew_at = asked_at + timedelta(seconds=lifetime * _RENEW_AFTER)
        expires_at = asked_at + timedelta(seconds=lifetime * _USE_UNTIL)
        shared = (self.credential.encrypt(secret), owner_id, renew_at, expires_at)
        key = (self.credential.fingerprint, minter)
        generation = await self._pool.fetchval(self._sql["share"], *key, *shared)
        if generation is not None:
            self._token = AccessToken(secret, owner_id, generation, renew_at, expires_at)
        log = structlog.get_logger()
        log.info("token_minted", credential=self.credential.fingerprint[:8], seconds=round(lifetime))

    async def _request(self, grant: Grant, minter: uuid.UUID) -> dict[str, Any]:
        auth = httpx.BasicAuth(self.credential.client_id, self.credential.client_secret)
        form = {"grant_type": _GRANT_TYPE, "assertion": self.credential.jwt}
        request = next(auth.auth_flow(self._http.build_request("POST", self._url, data=form)))
        TOKENS_MINTED.inc()
        answer = await exchange(self._http, self._budget, grant, request, timeout=_MINT_TIMEOUT)
        try:
            body = await error_body(answer)
        finally:
            await answer.aclose()
        if answer.status_code in {400, 401, 403}:
            code = error_of(answer.status_code, answer.headers, body).code
            key = (self.credential.fingerprint, minter, REFUSED_FOR)
            await self._pool.execute(self._sql["refuse"], *key, code)
            raise _refused(code)
        if answer.status_code >= 300:
            raise error_of(answer.status_code, answer.headers, body)
        if not isinstance(body, dict):
            raise SourceFailed("the token endpoint answered something that is no token")
        return body


def _lifetime_of(body: Mapping[str, Any]) -> float:
    """Seconds that a token lives: `expires_in`, or less when the session ends before (facts 7). Raises `ValueError`."""
    lifetime = min(float(body["expires_in"]), float(body.get("session_expires_in") or math.inf))
    if not 1 <= lifetime < math.inf:
        raise ValueError(lifetime)
    return lifetime


def _refused(code: str | None) -> CredentialRefused:
    told = f" ({code})" if code else ""
    return CredentialRefused(
        f"RingCentral refuses it{told}: check RC_CLIENT_ID, RC_CLIENT_SECRET and RC_JWT", code=code
    )
