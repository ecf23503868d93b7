"""From the spool to the broker: oldest first, several in flight, and deleted only once confirmed."""

import asyncio
from typing import Final

import structlog

from common.amqp.connection import pauses
from common.amqp.publisher import NotConfirmed
from services.webhook.keep import Circuit, Publishes
from services.webhook.spool import Batch, Spool, SpoolUnusable
from services.webhook.spool_file import Waiting

#: Events in flight: beyond about a hundred only the latency grows.
_IN_FLIGHT: Final = 100
#: Seconds between two looks for files of processes that are gone.
_LOOK_EVERY: Final = 10.0
#: Seconds between two looks at a spool that is being emptied at the end.
_LOOK_AT_END: Final = 0.05


async def drain(spool: Spool, publisher: Publishes, circuit: Circuit) -> None:
    """Publish what the spool holds, now and later, until cancelled. Each at least once."""
    waits = pauses()
    while True:
        await spool.wait_filled()
        await publisher.wait_connected()
        try:
            batch = await spool.oldest(1 if circuit.open else _IN_FLIGHT)
            confirmed = await _publish(batch, publisher, circuit)
            await _remove(spool, batch, confirmed)
        except SpoolUnusable as error:
            structlog.get_logger().error("spool_failing", reason=str(error))
            confirmed = []
        if confirmed:
            structlog.get_logger().info("events_drained", count=len(confirmed), left=spool.events)
        if circuit.open or not confirmed:
            await asyncio.sleep(next(waits))
        else:
            waits = pauses()


async def _publish(batch: Batch, publisher: Publishes, circuit: Circuit) -> list[int]:
    """The ids of the events that the broker has confirmed."""
    fates = await asyncio.gather(*(_is_confirmed(event, publisher) for event in batch.events))
    if all(fates) and fates:
        circuit.confirmed()
    elif fates:
        circuit.failed()
    return [event.id for event, confirmed in zip(batch.events, fates, strict=True) if confirmed]


async def _is_confirmed(event: Waiting, publisher: Publishes) -> bool:
    try:
        await publisher.publish(event.queue, event.wire)
    except NotConfirmed:
        return False
    return True


async def _remove(spool: Spool, batch: Batch, confirmed: list[int]) -> None:
    """Delete what was confirmed, and insist: the next round would publish it again."""
    waits = pauses()
    while confirmed:
        try:
            await spool.remove(batch, confirmed)
        except SpoolUnusable as error:
            structlog.get_logger().error("spool_failing", reason=str(error))
            await asyncio.sleep(next(waits))
        else:
            return


async def look_after(spool: Spool, circuit: Circuit) -> None:
    """Adopt files and try failing disks, every ten seconds until cancelled."""
    while True:
        await spool.look_after()
        if circuit.open and not (spool.events and spool.accepts):
            # The drain has nothing that could show whether the broker confirms again: let the next event try.
            circuit.confirmed()
        await asyncio.sleep(_LOOK_EVERY)


async def drained(spool: Spool) -> None:
    """Return when `drain` has emptied the spool: the caller limits the time that a broker has to come back."""
    while spool.events:  # noqa: ASYNC110 - looked at for seconds, once in a process
        await asyncio.sleep(_LOOK_AT_END)
