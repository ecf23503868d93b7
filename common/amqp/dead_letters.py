"""Dead letters: what could not be handled, kept with its reason and history until a person has looked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from aio_pika.abc import AbstractIncomingMessage

from common.amqp.publisher import Publisher
from common.amqp.topology import dead_letter_queue
from common.messages import Wire
from common.plain_json import list_of, map_of, time_of

REASON = "dead_reason"
TIMES = "dead_times"
FIRST_AT = "dead_first_at"
LAST_AT = "dead_last_at"

#: What begins so is the broker's own, among it what it says when it makes a dead letter by itself.
_BROKERS = "x-"
_BROKERS_REASON = "x-first-death-reason"
_BROKERS_HISTORY = "x-death"


async def dead_letter(publisher: Publisher, queue: str, wire: Wire, reason: str) -> None:
    """Publish a message to the dead letters of its queue with why, how often and since when; raises `NotConfirmed`.

    The reason holds no text of the message: it is read by people and ends in logs.
    """
    now = datetime.now(UTC).isoformat()
    headers = dict(wire.headers)
    headers[REASON] = reason
    headers[TIMES] = str(_times(headers) + 1)
    headers.setdefault(FIRST_AT, now)
    headers[LAST_AT] = now
    await publisher.publish(dead_letter_queue(queue), Wire(headers, wire.body))


def wire_of(delivery: AbstractIncomingMessage) -> Wire:
    """A delivery as our messages know it: headers that are no text, and the broker's own, are left out."""
    headers = {
        key: value for key, value in delivery.headers.items() if isinstance(value, str) and not key.startswith(_BROKERS)
    }
    return Wire(headers, delivery.body)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter: of which queue, why, how often and since when, and the message itself."""

    queue: str
    id: str
    cause: str
    times: int
    first_at: datetime | None
    last_at: datetime | None
    wire: Wire

    @classmethod
    def read(cls, queue: str, delivery: AbstractIncomingMessage) -> Self:
        """Read what lies among the dead letters of a queue; never raises, whoever put it there."""
        wire = wire_of(delivery)
        cause, times = wire.headers.get(REASON, "unknown"), _times(wire.headers)
        first_at, last_at = time_of(wire.headers.get(FIRST_AT)), time_of(wire.headers.get(LAST_AT))
        brokers_reason = delivery.headers.get(_BROKERS_REASON)
        if isinstance(brokers_reason, str):  # it came here last without a word of ours, e.g. delivered too often
            history = list_of(delivery.headers.get(_BROKERS_HISTORY))
            when = map_of(history[0]).get("time") if history else None
            last_at = when if isinstance(when, datetime) else last_at
            cause, times, first_at = f"RabbitMQ: {brokers_reason}", times + 1, first_at or last_at
        return cls(queue, delivery.message_id or "", cause, times, first_at, last_at, wire)

    def again(self) -> Wire:
        """The message for its queue once more, with its history: should it fail again, that goes on."""
        history = {
            REASON: self.cause,
            TIMES: str(self.times),
            FIRST_AT: self.first_at.isoformat() if self.first_at else None,
            LAST_AT: self.last_at.isoformat() if self.last_at else None,
        }
        told = {key: value for key, value in history.items() if value is not None}
        return Wire({**self.wire.headers, **told}, self.wire.body)


def _times(headers: Mapping[str, Any]) -> int:
    times = headers.get(TIMES, "")
    return int(times) if len(times) < 10 and times.isdecimal() else 0
