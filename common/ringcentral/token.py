"""The access token of a credential, shared by all processes.

About five sessions exist per user and app; each mint beyond pushes an older one out (facts 7). So the token lies in a
row, encrypted; one process mints, the others wait for its result.
"""

import asyncio
import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Budget, Group, Priority
from common.ringcentral.credentials import Credential
from common.ringcentral.errors import CredentialRefused, RingCentralError, SourceFailed, Throttled, error_of
from common.telemetry.metrics import RINGCENTRAL_REQUESTS, TOKENS_MINTED

_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Seconds one mint may take: the budget of the group auth allows five a minute, so it may have to wait a window.
_MINT_PATIENCE: Final = 65.0
#: Fraction of its lifetime after which a token is renewed: early enough for the longest request to finish on it.
_RENEW_AFTER: Final = 0.9
#: Seconds between two looks for a token that another process mints.
_LOOK_AGAIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token in use; `generation` tells a refused one from its successor."""

    secret: str = field(repr=False)
    owner_id: str
    generation: int
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

    async def get(self) -> AccessToken:
        """The token, minted by one process when there is none.

        Raises `CredentialRefused` when RingCentral refuses the credential, and `Throttled` or `SourceFailed` when it
        does not give a token now.
        """
        if (token := self._held()) is not None:
            return token
        async with self._turn:
            while (token := self._held()) is None:
                self._token, generation = await self._find()
                if self._held() is None:
                    await self._mint_or_wait(generation)
            return token

    async def _mint_or_wait(self, generation: int) -> None:
        minter = uuid.uuid4()
        key = (self.credential.fingerprint, minter)
        if await self._pool.fetchval(self._sql["become_minter"], *key, _MINT_PATIENCE, generation) is not None:
            await self._mint_as(minter)
        else:
            await asyncio.sleep(_LOOK_AGAIN * random.uniform(0.8, 1.2))

    async def drop(self, token: AccessToken) -> None:
        """Forget a token that RingCentral refused; its successor, when there is one already, stays."""
        self._token = None
        await self._pool.execute(self._sql["drop"], self.credential.fingerprint, token.generation)

    def _held(self) -> AccessToken | None:
        """The token that this process holds, if it is still good."""
        token = self._token
        return token if token is not None and token.expires_at > self._clock.now() else None

    async def _find(self) -> tuple[AccessToken | None, int]:
        row = await self._pool.fetchrow(self._sql["find"], self.credential.fingerprint)
        if row is None:
            return None, 0
        secret = self.credential.decrypt(row["ciphertext"]) if row["ciphertext"] is not None else None
        if secret is None or row["expires_at"] is None:
            return None, row["generation"]
        return AccessToken(secret, row["owner_id"], row["generation"], row["expires_at"]), row["generation"]

    async def _mint_as(self, minter: uuid.UUID) -> None:
        try:
            async with asyncio.timeout(_MINT_PATIENCE):
                secret, owner_id, lifetime = await self._mint()
        except TimeoutError:
            raise SourceFailed("RingCentral gave no access token in time") from None
        else:
            expires_at = self._clock.now() + timedelta(seconds=lifetime * _RENEW_AFTER)
            sealed = self.credential.encrypt(secret)
            await self._pool.execute(
                self._sql["share"], self.credential.fingerprint, minter, sealed, owner_id, expires_at
            )
            structlog.get_logger().info("token_minted", credential=self.credential.fingerprint[:8], seconds=lifetime)
        finally:
            await self._pool.execute(self._sql["stop_minting"], self.credential.fingerprint, minter)

    async def _mint(self) -> tuple[str, str, float]:
        """Secret, owner and lifetime in seconds of a new token."""
        owner = f"credential {self.credential.fingerprint[:16]}"  # its user is known only by the answer
        grant = await self._budget.take([owner], Group.AUTH, Priority.POLL, patience=_MINT_PATIENCE)
        TOKENS_MINTED.inc()
        try:
            answer = await self._http.post(
                self._url,
                auth=(self.credential.client_id, self.credential.client_secret),
                data={"grant_type": _GRANT_TYPE, "assertion": self.credential.jwt},
            )
        except httpx.HTTPError as error:
            raise SourceFailed(f"the token request failed: {type(error).__name__}") from None
        RINGCENTRAL_REQUESTS.labels(Group.AUTH.value, str(answer.status_code)).inc()
        await self._budget.settle(grant, answer.headers)
        if answer.status_code != 200:
            error_answer = _refusal(answer)
            if isinstance(error_answer, Throttled):
                await self._budget.close(grant, error_answer.retry_after, answer.headers)
            raise error_answer
        try:
            body = answer.json()
            return str(body["access_token"]), str(body.get("owner_id") or owner), float(body["expires_in"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceFailed("the token endpoint answered something that is no token") from None


def _refusal(answer: httpx.Response) -> RingCentralError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    error = error_of(answer.status_code, answer.headers, body)
    if answer.status_code in {400, 401, 403}:
        code = f" ({error.code})" if error.code else ""
        return CredentialRefused(
            f"RingCentral refuses the credential{code}: check RC_CLIENT_ID, RC_CLIENT_SECRET and RC_JWT",
            status=answer.status_code,
            code=error.code,
        )
    return error
