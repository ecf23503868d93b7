"""The service users: one per credential of `RC_JWT`, each with a budget of its own, unless two are the same person.

One that RingCentral refuses is set aside for some minutes, with a sentence in the log, and tried again after that; the
others go on meanwhile. What a user needs (a token, a renewal, the proof of its account) is done beside the requests of
the others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final

import structlog

from common.ringcentral.errors import CredentialRefused, RingCentralError, SourceFailed
from common.ringcentral.token import REFUSED_FOR, AccessToken, SharedToken

#: Seconds in which nothing is asked for a user whose token RingCentral could not give: a few tries a minute, as the
#: group auth allows.
_TRY_AGAIN: Final = 5.0


class ServiceUser:
    """One credential, and what stands in its way at the moment."""

    def __init__(self, number: int, token: SharedToken, prove: Callable[["ServiceUser"], Awaitable[None]]) -> None:
        self.token = token
        self.fingerprint = token.credential.fingerprint
        #: Whether its account is to be proven before it is used.
        self.unproven = False
        self.reason: Exception | None = None
        self._name = f"credential {number} of RC_JWT"
        self._prove = prove
        self._aside_until = 0.0
        self._again_at = 0.0
        self._preparing: asyncio.Task[None] | None = None

    def barred(self, *, pinned: bool = False) -> bool:
        """Whether it is set aside; a missing permission does not matter to requests that are this user's (`pinned`)."""
        aside = time.monotonic() < self._aside_until
        return aside and (not pinned or isinstance(self.reason, CredentialRefused))

    def set_aside(self, reason: RingCentralError) -> None:
        """Use it no more for some minutes."""
        log = structlog.get_logger()
        log.error("credential_set_aside", credential=self._name, reason=str(reason), seconds=REFUSED_FOR)
        self.reason = reason
        self._aside_until = time.monotonic() + REFUSED_FOR

    def ready(self) -> AccessToken | None:
        """Its token, when it can be used right now; whatever is due is begun beside."""
        if self.token.due() or self.unproven:
            self.prepare()
        return None if self.unproven else self.token.held()

    def prepare(self) -> asyncio.Task[None] | None:
        """Begin to get it ready, unless that is under way; None when it is too early after a failure.

        The task never raises: what went wrong is the `reason`.
        """
        if self._preparing is None or self._preparing.done():
            if time.monotonic() < self._again_at:
                return None
            self._preparing = asyncio.create_task(self._prepare())
        return self._preparing

    async def _prepare(self) -> None:
        log = structlog.get_logger()
        try:
            await self.token.refresh()
            if self.unproven:
                await self._prove(self)
                self.unproven = False
            if not self.barred():
                self.reason = None
        except CredentialRefused as error:
            if self.unproven or self.token.held() is None:
                self.set_aside(error)
            else:  # only the renewal was refused: what it has is good until it ends
                self._again_at = time.monotonic() + REFUSED_FOR
                log.warning("credential_not_renewed", credential=self._name, reason=str(error))
        except RingCentralError as error:
            self.reason = error
            self._again_at = time.monotonic() + _TRY_AGAIN
            log.warning("credential_not_ready", credential=self._name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the database above all; raised to whoever needs this user
            self.reason = error
            log.warning("credential_not_ready", credential=self._name, reason=type(error).__name__)

    async def close(self) -> None:
        """Leave off."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait([self._preparing])


Ready = dict[str, tuple[ServiceUser, AccessToken]]


class ServiceUsers:
    """All of them."""

    def __init__(self, users: Sequence[ServiceUser]) -> None:
        self._users = users

    @property
    def fingerprints(self) -> list[str]:
        """Of those that are not refused, in the order of the setting; of all when none is left."""
        users = [user for user in self._users if not user.barred(pinned=True)] or self._users
        return [user.fingerprint for user in users]

    def knows(self, fingerprint: str) -> bool:
        """Whether a credential is in the setting."""
        return fingerprint in {user.fingerprint for user in self._users}

    def choice(self, only: str | None, without: Collection[ServiceUser] = ()) -> list[ServiceUser]:
        """Whoever may be used: a request may be one user's `only`, or have been refused to some."""
        asked = [user for user in self._users if only in {None, user.fingerprint} and user not in without]
        return [user for user in asked if not user.barred(pinned=only is not None)]

    def complete(self, only: str | None) -> bool:
        """Whether everybody who may be used is ready."""
        return all(not user.unproven and user.token.held() is not None for user in self.choice(only))

    async def ready(self, only: str | None = None, without: Collection[ServiceUser] = ()) -> Ready:
        """Those who can send now, by owner; waits for the first when none can.

        Raises `CredentialRefused` when all are refused, and what prevented it when none could be got ready.
        """
        if only is not None and not self.knows(only):
            raise CredentialRefused("the credential that is asked for is not in RC_JWT")
        chosen = self.choice(only, without)
        if (ready := _ready(chosen)) or not chosen:
            return ready or self._none_left([user for user in self._users if only in {None, user.fingerprint}])
        waiting = {task for user in chosen if (task := user.prepare()) is not None}
        while waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if ready := _ready(user for user in chosen if not user.barred(pinned=only is not None)):
                return ready
        return self._none_left(chosen)

    async def prove(self) -> None:
        """Prove the account of each; raises what stands in the way when none is left."""
        for user in self._users:
            user.unproven = True
        waiting = [task for user in self._users if (task := user.prepare()) is not None]
        if waiting:
            await asyncio.wait(waiting)
        if all(user.unproven for user in self._users):
            self._none_left(self._users)

    def _none_left(self, users: Sequence[ServiceUser]) -> Ready:
        """Raise why: what passes by itself before what a person must mend."""
        reasons = [user.reason for user in users if user.reason is not None]
        passing = [reason for reason in reasons if not isinstance(reason, CredentialRefused)]
        for reason in (*passing, *reasons):
            raise reason.with_traceback(None)
        raise SourceFailed("no credential of RC_JWT is ready")

    async def close(self) -> None:
        """Leave off."""
        for user in self._users:
            await user.close()


def _ready(users: Iterable[ServiceUser]) -> Ready:
    """Two credentials of one owner share one budget, so the first is enough."""
    ready: Ready = {}
    for user in users:
        if (token := user.ready()) is not None:
            ready.setdefault(token.owner_id, (user, token))
    return ready
