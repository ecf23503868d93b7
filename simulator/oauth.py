"""Tokens: the JWT grant, revocation, sessions and their limit, and who stands behind a bearer token (facts 7)."""

import base64
import binascii
import secrets
from collections import Counter
from dataclasses import dataclass, field

from simulator.clock import Clock
from simulator.errors import OAuthRefusal, unauthorized

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: parallel sessions of one user and app; one more ends the oldest.
SESSION_LIMIT = 5
#: bounds and default of access_token_ttl in seconds.
SHORTEST_TTL, LONGEST_TTL = 600, 3600

APP_SCOPES = ("ReadAccounts", "ReadCallLog", "ReadCallRecording", "RingSense", "SubscriptionWebhook")
USER_PERMISSIONS = (
    "ReadCompanyInfo",
    "ReadCallLog",
    "FullCompanyCallLog",
    "ReadCallRecording",
    "ReadCompanyCallRecording",
    "ReadRingSenseInsights",
)


@dataclass
class User:
    """Somebody a token speaks for: a service user with an extension of its own, perhaps of another account."""

    extension_id: str
    account_id: str
    permissions: set[str] = field(default_factory=lambda: set(USER_PERMISSIONS))


@dataclass
class Session:
    id: str
    token: str
    user: User
    app: str
    expires_at: float


class Tokens:
    """The app, its users with their JWTs, and the living sessions. Any of ``client_secrets`` is right."""

    def __init__(
        self, clock: Clock, *, client_id: str, client_secret: str, jwts: dict[str, int], account_id: str
    ) -> None:
        self._clock = clock
        self._client_id = client_id
        self.client_secrets = {client_secret}
        self.scopes = set(APP_SCOPES)
        #: ids of service users lie apart from those of the company's people.
        self.users = {number: User(str(590_000_001 + number), account_id) for number in sorted(set(jwts.values()))}
        self._users_of_jwts = {jwt: self.users[number] for jwt, number in jwts.items()}
        self.revoked_jwts: set[str] = set()
        self.sessions: list[Session] = []
        self.minted = 0
        #: how often a token was asked for with a client secret and a JWT, right or wrong.
        self.asked_with: Counter[tuple[str, str]] = Counter()

    def client_of(self, authorization: str) -> str | None:
        """The client id in a Basic header, right or wrong; None without one."""
        pair = _basic(authorization)
        return pair[0] if pair else None

    def authenticate_client(self, authorization: str) -> str:
        pair = _basic(authorization)
        if not pair or pair[0] != self._client_id or pair[1] not in self.client_secrets:
            raise OAuthRefusal("invalid_client", "OAU-153", "Invalid client")
        return pair[0]

    def note(self, authorization: str, form: dict[str, str]) -> None:
        """Remember what a token is asked for with."""
        _, secret = _basic(authorization) or ("", "")
        self.asked_with[secret, form.get("assertion", "")] += 1

    def user_of_jwt(self, assertion: str) -> User | None:
        return self._users_of_jwts.get(assertion)

    def grant(self, app: str, form: dict[str, str]) -> dict[str, object]:
        """Mints a token. Raises OAuthRefusal with the documented codes."""
        if form.get("grant_type") != JWT_GRANT:
            raise OAuthRefusal("unsupported_grant_type", "OAU-250", "Unsupported grant type")
        user = self.user_of_jwt(form.get("assertion", ""))
        if user is None or form["assertion"] in self.revoked_jwts:
            raise OAuthRefusal("invalid_grant", "OAU-213", "Token not found")
        ttl = _ttl(form.get("access_token_ttl", str(LONGEST_TTL)))
        session = self.sign_in(user, app, ttl)
        self.minted += 1
        return {
            "access_token": session.token,
            "token_type": "bearer",
            "expires_in": self._clock.announced(ttl),
            "scope": form.get("scope") or " ".join(sorted(self.scopes)),
            "owner_id": user.extension_id,
            "endpoint_id": form.get("endpoint_id") or secrets.token_urlsafe(16),
            "session_id": session.id,
        }

    def sign_in(self, user: User, app: str, ttl: float = LONGEST_TTL) -> Session:
        """One more session; the oldest one of that user and app ends when there are too many."""
        session = Session(secrets.token_hex(12), secrets.token_urlsafe(32), user, app, self._clock.now() + ttl)
        self._drop_expired()
        self.sessions.append(session)
        mine = [other for other in self.sessions if (other.user, other.app) == (user, app)]
        for oldest in mine[:-SESSION_LIMIT]:
            self.sessions.remove(oldest)
        return session

    def revoke_jwt(self, jwt: str) -> None:
        """The credential is refused from now on, and its user's sessions end. Raises ValueError for an unknown one."""
        user = self.user_of_jwt(jwt)
        if user is None:
            raise ValueError("no such jwt")
        self.revoked_jwts.add(jwt)
        self.sessions = [session for session in self.sessions if session.user is not user]

    def revoke(self, token: str) -> None:
        self.sessions = [session for session in self.sessions if session.token != token]

    def drop_all(self) -> int:
        dropped, self.sessions = len(self.sessions), []
        return dropped

    def session_of(self, authorization: str | None, query_token: str | None) -> Session:
        """The session behind a request. Raises Refusal 401 with the code of what is wrong."""
        if authorization is None and query_token is None:
            raise unauthorized("AGW-401", "Authorization header is not specified", top="AGW-401")
        scheme, _, token = (authorization or f"bearer {query_token}").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("AGW-402", "Invalid Authorization header", top="AGW-402")
        for session in self.sessions:
            if session.token == token.strip():
                if session.expires_at <= self._clock.now():
                    raise unauthorized("OAU-128", "Access token expired", top="TokenExpired")
                return session
        raise unauthorized("OAU-213", "Token not found")

    def _drop_expired(self) -> None:
        """Sessions long expired are forgotten; freshly expired ones still answer that they expired."""
        limit = self._clock.now() - LONGEST_TTL
        self.sessions = [session for session in self.sessions if session.expires_at > limit]


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret


def _ttl(text: str) -> int:
    if not text.isdecimal() or not SHORTEST_TTL <= int(text) <= LONGEST_TTL:
        raise OAuthRefusal("invalid_request", "CMN-101", "Parameter [access_token_ttl] value is invalid")
    return int(text)
