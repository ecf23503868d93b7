"""Who we are for RingCentral: one credential per JWT, named by a fingerprint that gives nothing away."""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.settings import RingCentralSettings


@dataclass(frozen=True, slots=True)
class Credential:
    """One JWT with the app it is used with."""

    client_id: str
    client_secret: str = field(repr=False)
    jwt: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Changes with client id, secret or JWT, so that what was kept for the old ones counts as absent."""
        parts = (self.client_id, self.client_secret, self.jwt)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def encrypt(self, token: str) -> bytes:
        """The token as it may lie in a database."""
        return self._cipher().encrypt(token.encode())

    def decrypt(self, ciphertext: bytes) -> str | None:
        """The token, or None when it cannot be read with this client secret."""
        try:
            return self._cipher().decrypt(ciphertext).decode()
        except (InvalidToken, UnicodeDecodeError):
            return None

    def _cipher(self) -> Fernet:
        derive = HKDF(SHA256(), 32, salt=self.fingerprint.encode(), info=b"ringvault access token")
        return Fernet(base64.urlsafe_b64encode(derive.derive(self.client_secret.encode())))


def credentials_of(settings: RingCentralSettings) -> tuple[Credential, ...]:
    """One credential per JWT of the settings, in their order."""
    secret = settings.rc_client_secret.get_secret_value()
    return tuple(Credential(settings.rc_client_id, secret, jwt.get_secret_value()) for jwt in settings.rc_jwt)
