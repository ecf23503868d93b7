"""The token endpoint: one request for an access token, and what its answer means (facts 7)."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from common.ringcentral.budget import Budget, Grant
from common.ringcentral.credentials import Credential
from common.ringcentral.errors import CredentialRefused, SourceFailed, error_of
from common.ringcentral.exchange import error_body, exchange
from common.telemetry.metrics import TOKENS_MINTED

_PATH: Final = "/restapi/oauth/token"
_GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Minted:
    """A new access token; `lifetime` in seconds."""

    secret: str = field(repr=False)
    owner_id: str
    lifetime: float


class TokenEndpoint:
    """Where the tokens of a server are minted."""

    def __init__(self, server_url: str, http: httpx.AsyncClient, budget: Budget) -> None:
        self._url = f"{server_url}{_PATH}"
        self._http = http
        self._budget = budget

    async def mint(self, credential: Credential, grant: Grant, until: float) -> Minted:
        """Send one request, whose answer is read by the time `until` of the loop, or given up.

        Raises `CredentialRefused`, `Throttled`, `SourceFailed`, and `GrantTooOld` when nothing was sent.
        """
        auth = httpx.BasicAuth(credential.client_id, credential.client_secret)
        form = {"grant_type": _GRANT_TYPE, "assertion": credential.jwt}
        request = next(auth.auth_flow(self._http.build_request("POST", self._url, data=form)))
        TOKENS_MINTED.inc()
        try:
            async with asyncio.timeout_at(until):
                answer = await exchange(self._http, self._budget, grant, request)
                try:
                    body = await error_body(answer)
                finally:
                    await answer.aclose()
        except TimeoutError:
            raise SourceFailed("RingCentral gave no access token in time") from None
        if answer.status_code in {400, 401, 403}:
            raise refusal(error_of(answer.status_code, answer.headers, body).code)
        if answer.status_code >= 300:
            raise error_of(answer.status_code, answer.headers, body)
        return _minted(credential, body)


def refusal(code: str | None) -> CredentialRefused:
    """What the operator is told when RingCentral refuses a credential."""
    told = f" ({code})" if code else ""
    return CredentialRefused(
        f"RingCentral refuses it{told}: check RC_CLIENT_ID, RC_CLIENT_SECRET and RC_JWT", code=code
    )


def _minted(credential: Credential, body: Any) -> Minted:
    try:
        lifetime = _lifetime_of(body)
        owner_id = str(body.get("owner_id") or f"credential {credential.fingerprint[:16]}")
        return Minted(str(body["access_token"]), owner_id, lifetime)
    except (KeyError, TypeError, ValueError):
        raise SourceFailed("the token endpoint answered something that is no token") from None


def _lifetime_of(body: Mapping[str, Any]) -> float:
    """Seconds that a token lives: `expires_in`, or less when the session ends before (facts 7). Raises `ValueError`."""
    lifetime = min(float(body["expires_in"]), float(body.get("session_expires_in") or math.inf))
    if not 1 <= lifetime < math.inf:
        raise ValueError(lifetime)
    return lifetime
