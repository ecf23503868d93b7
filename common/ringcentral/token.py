"""The access token of a credential, shared by all processes.

About five sessions exist per user and app; each mint beyond pushes an older one out (facts 7). So the token lies in a
row, encrypted; one process mints, the others wait for its result. A token is renewed well before it ends, by one
process, while all go on with the old one. A mint is brought to its end also when whoever asked for it is cancelled: a
token that is minted and lost is a session for nothing.
"""

import asyncio
import random
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Budget, Grant, Group, Priority
from common.ringcentral.credentials import Credential
from common.ringcentral.errors import CredentialRefused, NoBudget, SourceFailed
from common.ringcentral.exchange import GrantTooOld
from common.ringcentral.token_endpoint import Minted, TokenEndpoint, refusal

#: Whose budget of the group auth a mint uses. The user is known only by the answer, and credentials may share one; so
#: all credentials of the app share the budget of one user, which is plenty for a mint an hour.
_MINTING_OWNER: Final = "any user"
#: Seconds from asking for the right to mint until RingCentral's answer is read; after them it is given up.
_MINT_TIMEOUT: Final = 15.0
#: Seconds that the right to mint holds unless prolonged: above the time of a mint, so that no two processes mint at the
#: same time. So long do the others wait for a process that was killed while it minted.
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
#: Seconds for which a refused credential is not tried again by any process that was there by then: rarely enough for
#: the group auth with many processes, and soon enough for a person who has just mended it.
REFUSED_FOR: Final = 120.0
#: Seconds that a process which ends waits for a mint that is on the wire: an answer takes a fraction of one.
_CLOSE_WITHIN: Final = 5.0


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
        endpoint: TokenEndpoint,
        pool: Pool,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self.credential = credential
        self._endpoint = endpoint
        self._pool = pool
        self._budget = budget
        self._clock = clock
        self._sql = statements("access_tokens")
        self._token: AccessToken | None = None
        self._turn = asyncio.Lock()
        self._minting: asyncio.Task[None] | None = None
        self._opened = time.monotonic()

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

    async def close(self) -> None:
        """Let a mint that is on the wire come to its end, for some seconds."""
        if self._minting is not None:
            await asyncio.wait([self._minting], timeout=_CLOSE_WITHIN)
            self._minting.cancel()
            await asyncio.wait([self._minting])

    async def _find_or_mint(self) -> bool:
        """One step; False when another process is minting."""
        row = await self._pool.fetchrow(self._sql["find"], self.credential.fingerprint, self._disbelieved())
        self._token = self._read(row) or self.held()
        if not self.due():
            return True
        if row is not None and row["refused"]:
            raise refusal(row["refused_code"])
        return await self._mint_as(uuid.uuid4(), row["generation"] if row is not None else 0)

    def _disbelieved(self) -> float:
        """Seconds that a refusal must still hold to be believed: one from before this process began is asked anew.

        A person may have mended it at RingCentral and started us for that reason.
        """
        return max(0.0, REFUSED_FOR - (time.monotonic() - self._opened))

    def _read(self, row: asyncpg.Record | None) -> AccessToken | None:
        """The token in a row; one that cannot be read, or has ended, counts as absent."""
        if row is None or None in {row["ciphertext"], row["owner_id"], row["renew_at"], row["expires_at"]}:
            return None
        secret = self.credential.decrypt(row["ciphertext"])
        if secret is None or row["expires_at"] <= self._clock.now():
            return None
        return AccessToken(secret, row["owner_id"], row["generation"], row["renew_at"], row["expires_at"])

    async def _mint_as(self, minter: uuid.UUID, generation: int) -> bool:
        """Mint with the right to do so; False when another process has it.

        Whoever waits for the mint can be cancelled; the mint itself goes on beside.
        """
        while True:
            until = asyncio.get_running_loop().time() + _MINT_TIMEOUT
            if not await self._may_mint(minter, generation):
                return False
            with suppress(NoBudget, GrantTooOld):
                grant = await self._slot(minter)
                self._minting = asyncio.create_task(self._mint(grant, minter, until))
                await asyncio.shield(self._minting)
                return True

    async def _may_mint(self, minter: uuid.UUID, generation: int) -> bool:
        key = (self.credential.fingerprint, minter, _MINTER_HOLDS, generation, self._disbelieved())
        return await self._pool.fetchval(self._sql["become_minter"], *key) is not None

    async def _slot(self, minter: uuid.UUID) -> Grant:
        try:
            return await self._budget.take(
                [_MINTING_OWNER], Group.AUTH, Priority.POLL, patience=_MINT_PATIENCE, timeout=_MINT_TIMEOUT
            )
        except NoBudget:
            raise
        except BaseException:
            await self._stop_minting(minter)
            raise

    async def _mint(self, grant: Grant, minter: uuid.UUID, until: float) -> None:
        try:
            asked_at = self._clock.now()
            minted = await self._endpoint.mint(self.credential, grant, until)
            await self._share(minted, minter, asked_at)
        except CredentialRefused as refused:
            key = (self.credential.fingerprint, minter, REFUSED_FOR)
            await self._pool.execute(self._sql["refuse"], *key, refused.code)
            raise
        finally:
            await self._stop_minting(minter)

    async def _stop_minting(self, minter: uuid.UUID) -> None:
        await self._pool.execute(self._sql["stop_minting"], self.credential.fingerprint, minter)

    async def _share(self, minted: Minted, minter: uuid.UUID, asked_at: datetime) -> None:
        renew_at = asked_at + timedelta(seconds=minted.lifetime * _RENEW_AFTER)
        expires_at = asked_at + timedelta(seconds=minted.lifetime * _USE_UNTIL)
        shared = (self.credential.encrypt(minted.secret), minted.owner_id, renew_at, expires_at)
        key = (self.credential.fingerprint, minter)
        generation = await self._pool.fetchval(self._sql["share"], *key, *shared)
        if generation is not None:
            self._token = AccessToken(minted.secret, minted.owner_id, generation, renew_at, expires_at)
        log = structlog.get_logger()
        log.info("token_minted", credential=self.credential.fingerprint[:8], seconds=round(minted.lifetime))
