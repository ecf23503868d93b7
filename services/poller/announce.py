"""Announcing: due rows → download jobs, as a short window onto the rows.

The row is marked first and the job published after that, so that no row is announced twice; what a crash leaves between
the two is announced again when its announcement is old.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.amqp.publisher import NotConfirmed, Publisher
from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.loss_clock import Span
from common.messages import DownloadRecording
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral
from common.telemetry.metrics import RECORDINGS_ANNOUNCED
from services.poller.leadership import Leadership

#: Seconds of budget that may be announced ahead: so long does the order of the queue lag behind that of the rows.
AHEAD: Final = 600.0
#: Jobs in the window at most, however large the budget: the queue is a window, not a store.
MOST: Final = 200
#: Jobs in the window at least, so that a small budget never leaves downloaders idle.
LEAST: Final = 10
#: Jobs that are marked and published together: what a crash in between leaves waiting for its announcement to grow old.
TOGETHER: Final = 20


async def announce(
    client: RingCentral,
    pool: Pool,
    publisher: Publisher,
    clock: Clock,
    leadership: Leadership,
    spans: Sequence[Span] = (),
) -> int:
    """Fill the window with the most urgent due rows, and return how many jobs were confirmed.

    `spans` are the loss clock's; without them nothing goes before live work, nor by what is lost earliest.

    May run at any time: rows whose announcement is young are left alone.
    """
    rate = await client.budget.rate(Group.HEAVY) or DEFAULT_RATE
    window = window_size(rate)
    now = clock.now()
    old = now - timedelta(seconds=grows_old_after(window, rate))
    sql = statements("recordings")
    announced = await pool.fetchval(sql["count_announced"], client.account_id, old, now)
    free = window - max(announced, await _waiting(publisher, window))
    confirmed = 0
    while free > 0 and publisher.connected:
        async with pool.transaction() as connection:
            await leadership.prove(connection)
            rows = await connection.fetch(
                sql["announce"], client.account_id, now, old, min(free, TOGETHER), *_columns(spans)
            )
        rows.sort(key=lambda row: (row["rank"], row["place"]))
        jobs = [DownloadRecording(client.account_id, row["domain"], row["source_record_id"]) for row in rows]
        published = await asyncio.gather(*(_publish(publisher, job) for job in jobs))
        await _withdraw(pool, [job for job, done in zip(jobs, published, strict=True) if not done])
        confirmed += sum(published)
        if not all(published) or len(jobs) < min(free, TOGETHER):
            break
        free -= len(jobs)
    if confirmed:
        RECORDINGS_ANNOUNCED.inc(confirmed)
        structlog.get_logger().info("recordings_announced", jobs=confirmed, window=window)
    return confirmed


def _columns(spans: Sequence[Span]) -> tuple[list[str], list[datetime], list[datetime]]:
    return (
        [span.retention_type for span in spans],
        [span.lost_before for span in spans],
        [span.urgent_before for span in spans],
    )


def window_size(rate: float) -> int:
    """Jobs that may be announced at the same time, at so many requests a second."""
    return int(min(MOST, max(LEAST, rate * AHEAD)))


def grows_old_after(window: int, rate: float) -> float:
    """Seconds after which an announcement counts as lost: twice what a full window takes, and a minute."""
    return 60.0 + 2 * window / rate


async def _waiting(publisher: Publisher, window: int) -> int:
    """Jobs that nobody has taken yet: while no downloader runs, what was announced long ago still fills the window."""
    try:
        return await publisher.waiting(DownloadRecording.QUEUE)
    except NotConfirmed:
        return window


async def _publish(publisher: Publisher, job: DownloadRecording) -> bool:
    try:
        await publisher.publish(job.QUEUE, job.to_wire())
    except NotConfirmed:
        return False
    return True


async def _withdraw(pool: Pool, jobs: list[DownloadRecording]) -> None:
    """Take back what was not confirmed; if it was delivered all the same, the claim makes the second job harmless."""
    if jobs:
        domains, ids = [job.domain for job in jobs], [job.source_record_id for job in jobs]
        await pool.execute(statements("recordings")["withdraw"], jobs[0].account_id, domains, ids)
