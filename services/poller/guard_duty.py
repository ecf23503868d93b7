"""What the guardian is to keep, and what it works with."""

import hashlib
from dataclasses import dataclass

from common.clock import Clock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral
from services.poller.leadership import Leadership


@dataclass(frozen=True, slots=True)
class Wanted:
    """The subscription that there should be."""

    address: str
    token: str | None
    domains: tuple[str, ...]

    @property
    def token_digest(self) -> str | None:
        """Tells a changed token without keeping it."""
        return hashlib.sha256(self.token.encode()).hexdigest() if self.token else None


@dataclass(frozen=True, slots=True)
class Duty:
    """The guardian's duty: what is wanted, and with what it is kept. Each write proves the leadership."""

    client: RingCentral
    pool: Pool
    clock: Clock
    leadership: Leadership
    wanted: Wanted

    def candidates(self, credential: str) -> list[str]:
        """Who may reach what a credential made: itself, or, when it is gone or refused, perhaps one of the others.

        A subscription belongs to the user and the app: a new JWT of the same user reaches it as well (facts 3).
        """
        usable = self.client.credentials
        return [credential] if credential in usable else usable
