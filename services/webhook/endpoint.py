"""The endpoint's path, which a secret may be part of. No I/O."""

import hmac
from typing import Final

from pydantic import SecretStr

from services.webhook.answers import Outcome, Refused

PATH: Final = "/api/rc/webhook"


def path_with(secret: SecretStr | None) -> str:
    """Where the endpoint is."""
    return PATH if secret is None else f"{PATH}/{secret.get_secret_value()}"


def demand_path(path: str, ours: str) -> None:
    """Raise `Refused` for any other path, in a time that does not tell how close it came."""
    if not hmac.compare_digest(path.encode("utf-8", "surrogatepass"), ours.encode()):
        raise Refused(Outcome.WRONG_PATH, "there is nothing here")
