"""What the receiver must be told. It faces the internet, so it holds no RingCentral credential and no database."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.settings import AccountSettings, BrokerSettings, Port, ProcessSettings, WebhookTokenSettings


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
