"""Dead letters: what could not be handled, kept with its reason and history until a person has looked."""

from datetime import UTC, datetime

from common.amqp.publisher import Publisher
from common.amqp.topology import dead_letter_queue
from common.messages import Wire

REASON = "dead_reason"
TIMES = "dead_times"
FIRST_AT = "dead_first_at"
LAST_AT = "dead_last_at"


async def dead_letter(publisher: Publisher, queue: str, wire: Wire, reason: str) -> None:
    """Publish a message to the dead letters of its queue with why, how often and since when; raises `NotConfirmed`.

    The reason holds no text of the message: it is read by people and ends in logs.
    """
    now = datetime.now(UTC).isoformat()
    headers = dict(wire.headers)
    headers[REASON] = reason
    times = headers.get(TIMES, "")
    headers[TIMES] = str(int(times) + 1 if times.isdecimal() else 1)
    headers.setdefault(FIRST_AT, now)
    headers[LAST_AT] = now
    await publisher.publish(dead_letter_queue(queue), Wire(headers, wire.body))
