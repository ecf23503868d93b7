"""Starting: refuse an `AMQP_URL` that the broker refuses; a broker that is away is waited for elsewhere."""

from aiormq.exceptions import AuthenticationError, ProbableAuthenticationError

from common.amqp.connection import BROKER_AWAY, close, connect
from common.process import CannotStart


async def check_credentials(url: str, name: str) -> None:
    """Raise `CannotStart` when the broker answers that it does not know us; return in every other case.

    An unknown virtual host is waited for: a broker that recovers says the same of its own for a moment. May run twice.
    Not for the receiver, which must take events at once, whatever the broker says.
    """
    try:
        connection = await connect(url, f"{name} check")
    except (AuthenticationError, ProbableAuthenticationError):
        raise CannotStart("AMQP_URL is refused by RabbitMQ: check its user and password.") from None
    except BROKER_AWAY:
        return
    await close(connection)
