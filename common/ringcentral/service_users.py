"""The service users: one per credential of `RC_JWT`, each with a budget of its own, unless two are the same person.

One that RingCentral refuses is set aside for some minutes, with a sentence in the log, and tried again after that; the
others go on meanwhile. One that lacks a permission is set aside for the endpoint that asks for it, and gives its budget
to the other endpoints. What a user needs (a token, a renewal, the proof of its account) is done beside the requests of
the others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from common.ringcentral.errors import CredentialRefused, Forbidden, RingCentralError, SourceFailed
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
        self._name = f"credential {number} of RC_JWT"
        self._prove = prove
        self._reason: Exception | None = None
        self._aside_until = 0.0
        #: Until when it is set aside for an endpoint, and why.
        self._bars: dict[str, tuple[float, RingCentralError]] = {}
        self._again_at = 0.0
        self._preparing: asyncio.Task[None] | None = None

    def barred(self, endpoint: str | None) -> bool:
        """Whether it is set aside for everything, or for this endpoint."""
        return time.monotonic() < max(self._aside_until, self._bar_at(endpoint)[0])

    def reason(self, endpoint: str | None) -> Exception | None:
        """What stands in its way, if anything does."""
        return self._reason or self._bar_at(endpoint)[1]

    def bar(self, endpoint: str, reason: RingCentralError) -> None:
        """Use it no more for an endpoint for some minutes."""
        log = structlog.get_logger()
        told = {"credential": self._name, "endpoint": endpoint, "reason": str(reason)}
        log.error("credential_set_aside", **told, seconds=REFUSED_FOR)
        self._bars[endpoint] = (time.monotonic() + REFUSED_FOR, reason)

    def _bar_at(self, endpoint: str | None) -> tuple[float, RingCentralError | None]:
        return self._bars.get(endpoint or "", (0.0, None))

    def _set_aside(self, reason: RingCentralError) -> None:
        """Use it no more for some minutes."""
        log = structlog.get_logger()
        log.error("credential_set_aside", credential=self._name, reason=str(reason), seconds=REFUSED_FOR)
        self._reason = reason
        self._aside_until = self._again_at = time.monotonic() + REFUSED_FOR

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
            self._reason = None
        except (CredentialRefused, Forbidden) as error:
            if self.unproven or self.token.held() is None:
                self._set_aside(error)
            else:  # only the renewal was refused: what it has is good until it ends
                self._again_at = time.monotonic() + REFUSED_FOR
                log.warning("credential_not_renewed", credential=self._name, reason=str(error))
        except RingCentralError as error:
            self._reason = error
            self._again_at = time.monotonic() + _TRY_AGAIN
            log.warning("credential_not_ready", credential=self._name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the database above all; raised to whoever needs this user
            self._reason = error
            log.warning("credential_not_ready", credential=self._name, reason=type(error).__name__)

    async def close(self) -> None:
        """Leave off."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait([self._preparing])
        await self.token.close()


Ready = dict[str, tuple[ServiceUser, AccessToken]]


@dataclass(frozen=True, slots=True)
class Need:
    """Who may do a request: whoever is not barred from the `endpoint`; without one, such bars do not count."""

    endpoint: str | None = None
    #: The fingerprint of the only credential that may be used.
    only: str | None = None


class ServiceUsers:
    """All of them."""

    def __init__(self, users: Sequence[ServiceUser]) -> None:
        self._users = users

    @property
    def fingerprints(self) -> list[str]:
        """Of those that are not refused, in the order of the setting; of all when none is left."""
        users = [user for user in self._users if not user.barred(None)] or self._users
        return [user.fingerprint for user in users]

    def knows(self, fingerprint: str) -> bool:
        """Whether a credential is in the setting."""
        return fingerprint in {user.fingerprint for user in self._users}

    def choice(self, need: Need, without: Collection[ServiceUser] = ()) -> list[ServiceUser]:
        """Whoever may be used; a request may have been refused to some already."""
        return [user for user in self._asked(need) if user not in without and not user.barred(need.endpoint)]

    def complete(self, need: Need) -> bool:
        """Whether everybody who may be used is ready."""
        return all(not user.unproven and user.token.held() is not None for user in self.choice(need))

    async def ready(self, need: Need, without: Collection[ServiceUser] = ()) -> Ready:
        """Those who can send now, by owner; waits for the first when none can.

        Raises `CredentialRefused` when all are refused, and what prevented it when none could be got ready.
        """
        if need.only is not None and not self.knows(need.only):
            raise CredentialRefused("the credential that is asked for is not in RC_JWT")
        chosen = self.choice(need, without)
        if (ready := _ready(chosen)) or not chosen:
            return ready or _none_left(self._asked(need), need)
        waiting = {task for user in chosen if (task := user.prepare()) is not None}
        while waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if ready := _ready(user for user in chosen if not user.barred(need.endpoint)):
                return ready
        return _none_left(chosen, need)

    def _asked(self, need: Need) -> list[ServiceUser]:
        return [user for user in self._users if need.only in {None, user.fingerprint}]

    async def prove(self) -> None:
        """Prove the account of each; raises what stands in the way when none is left."""
        for user in self._users:
            user.unproven = True
        waiting = [task for user in self._users if (task := user.prepare()) is not None]
        if waiting:
            await asyncio.wait(waiting)
        if all(user.unproven for user in self._users):
            _none_left(self._users, Need())

    async def close(self) -> None:
        """Leave off."""
        await asyncio.gather(*(user.close() for user in self._users))


def _none_left(users: Sequence[ServiceUser], need: Need) -> Ready:
    """Raise why: what passes by itself before what a person must mend."""
    reasons = [reason for user in users if (reason := user.reason(need.endpoint)) is not None]
    passing = [reason for reason in reasons if not isinstance(reason, CredentialRefused)]
    for reason in (*passing, *reasons):
        raise reason.with_traceback(None)
    raise SourceFailed("no credential of RC_JWT is ready")


def _ready(users: Iterable[ServiceUser]) -> Ready:
    """Two credentials of one owner share one budget, so the first is enough."""
    ready: Ready = {}
    for user in users:
        if (token := user.ready()) is not None:
            ready.setdefault(token.owner_id, (user, token))
    return ready
