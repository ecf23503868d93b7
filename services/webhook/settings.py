"""What the receiver must be told. It faces the internet, so it holds no RingCentral credential and no database."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr

from common.settings import AccountSettings, BrokerSettings, Port, ProcessSettings, WebhookTokenSettings
from services.webhook.networks import Network

#: What a path carries unchanged through every proxy. 16 of these are 64 bits of chance when they are hexadecimal, too
#: many to guess over a network; 128 are far below what any proxy takes for a path.
_PATH_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")


def _path_secret(value: object) -> object:
    if isinstance(value, str) and not _PATH_SECRET.fullmatch(value):
        raise ValueError("give 16 to 128 letters, digits, - or _, as openssl rand -hex 24 makes them")
    return value


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    found: list[Network] = []
    for number, part in enumerate(value.split(","), start=1):
        try:
            found.append(ip_network(part.strip()))
        except ValueError:
            raise ValueError(
                f"number {number} of the list is no network: write 192.0.2.0/24, 2001:db8::/32 or an address,"
                " with commas between and no bits set behind the prefix"
            ) from None
    return tuple(found)


Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]


class WebhookSettings(ProcessSettings, BrokerSettings, AccountSettings, WebhookTokenSettings):
    """The settings of `services.webhook`."""

    http_host: str = Field(
        "0.0.0.0",  # noqa: S104 - the endpoint is there to be reached; what must not be is on the admin port.
        description="where the webhook endpoint is served",
    )
    http_port: Port = Field(8080, description="the port of the above; 0 takes any free one")
    spool_dir: Path = Field(
        Path("/var/lib/ringvault/spool"), description="a folder on a lasting disk for events while the broker is away"
    )
    spool_limit_bytes: Annotated[int, Field(gt=0)] = Field(
        1 << 30, description="bytes of events that may wait in the spool of one process"
    )
    webhook_path_secret: Annotated[SecretStr, BeforeValidator(_path_secret)] | None = Field(
        None, description="the last part of the endpoint's path, /api/rc/webhook/SECRET; everything else is a 404"
    )
    webhook_allowed_networks: Networks = Field(
        (), description="networks that may send requests, all when not set; others get 403"
    )
    webhook_trusted_proxies: Networks = Field(
        (), description="networks of the proxies in front, whose X-Forwarded-For is believed"
    )
