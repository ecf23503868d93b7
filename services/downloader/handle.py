"""The handler: claim, fetch, store, record."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.pool import DatabaseAway, Pool
from common.messages import DownloadRecording
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import (
    CredentialRefused,
    Forbidden,
    ForeignHost,
    Missing,
    NoBudget,
    RingCentralError,
    Throttled,
    Unauthenticated,
    pause_asked_by,
)
from common.storage.interface import Storage, StorageError, StoredObject
from common.storage.object_names import recording_object_name
from common.storage.read_back import check_read_back
from common.telemetry.health import Work
from common.telemetry.metrics import DOWNLOAD_SECONDS, DOWNLOADS
from services.downloader.claim import Claim, ClaimLost, count_unclaimed_failure, take_claim
from services.downloader.fetch import ask_for, chunks_of, content_type_of
from services.downloader.schedule import Kind, next_step

#: Seconds for one attempt, the wait for its slot included: half of the broker's acknowledgement timeout of 30 min.
ATTEMPT_DEADLINE: Final = 15 * 60.0
#: When a job is due again that got no slot (others had them: soon), or that waits for a person to mend a credential, to
#: grant a permission or to allow a host (then the start makes it due, see `allowed_now`): uncounted, so that mending it
#: heals the row whenever that is.
_POSTPONED: Final[dict[type[RingCentralError], timedelta]] = {
    NoBudget: timedelta(seconds=5),
    CredentialRefused: timedelta(minutes=1),
    Unauthenticated: timedelta(minutes=1),
    Forbidden: timedelta(hours=1),
    ForeignHost: timedelta(hours=1),
}


#: Seconds to say on the row that work is handed back while the process stops.
_HAND_BACK_WITHIN: Final = 3.0


@dataclass(frozen=True, slots=True)
class Downloads:
    """What the handler works with."""

    pool: Pool
    client: RingCentral
    storage: Storage
    clock: Clock
    verify_after_store: bool = False


async def handle(downloads: Downloads, messages: Sequence[DownloadRecording], work: Work) -> None:
    """Download one recording, or record on its row why not and when next. May run twice, also at the same time.

    Whatever RingCentral or the storage do is an outcome on the row; only a defect of ours is raised, after it was
    recorded as well.
    """
    (job,) = messages
    with structlog.contextvars.bound_contextvars(domain=job.domain, source_record_id=job.source_record_id):
        claim = await _take_claim(downloads, job)
        if claim is None:
            structlog.get_logger().info("download_skipped")
            return
        try:
            await _download(downloads, claim, work)
        except ClaimLost:
            DOWNLOADS.labels("abandoned", "ClaimLost").inc()
            structlog.get_logger().warning("download_abandoned")
        except asyncio.CancelledError:
            await _hand_back(downloads, claim)
            raise


async def _take_claim(downloads: Downloads, job: DownloadRecording) -> Claim | None:
    claim_id = uuid.uuid4()
    try:
        return await take_claim(downloads.pool, downloads.clock, job, claim_id)
    except DatabaseAway:
        raise
    except Exception as error:
        await _record_unclaimed_failure(downloads, job, claim_id, error)
        raise


async def _record_unclaimed_failure(
    downloads: Downloads, job: DownloadRecording, claim_id: uuid.UUID, error: Exception
) -> None:
    reason = f"unexpected {type(error).__name__}"
    try:
        attempts = await count_unclaimed_failure(downloads.pool, downloads.clock, job, claim_id, reason)
    except asyncpg.PostgresError:  # what it refused before, it may refuse again: the first error is the one to tell.
        structlog.get_logger().exception("failure_not_recorded")
        return
    if attempts is not None:
        _tell_failure(error, reason, attempts, next_step("failed", attempts))


async def _hand_back(downloads: Downloads, claim: Claim) -> None:
    """Stopping: let somebody else begin at once; when that cannot be said now, the claim ends by itself."""
    with suppress(ClaimLost, DatabaseAway, TimeoutError):
        async with asyncio.timeout(_HAND_BACK_WITHIN):
            await asyncio.shield(claim.hand_back(downloads.clock.now(), None))
            structlog.get_logger().info("download_handed_back")


async def _download(downloads: Downloads, claim: Claim, work: Work) -> None:
    started = time.monotonic()
    try:
        stored = await _attempt(downloads, claim, work)
    except (NoBudget, Throttled, CredentialRefused, Unauthenticated, Forbidden, ForeignHost) as reason:
        await _postpone(downloads, claim, reason)
    except (RingCentralError, StorageError) as reason:
        await _record_failure(downloads, claim, reason, str(reason))
    except (ClaimLost, DatabaseAway):
        raise
    except Exception as error:
        await _record_failure(downloads, claim, error, f"unexpected {type(error).__name__}")
        raise
    else:
        seconds = time.monotonic() - started
        DOWNLOADS.labels("stored", "").inc()
        DOWNLOAD_SECONDS.observe(seconds)
        structlog.get_logger().info("download_stored", size=stored.size, seconds=round(seconds, 3))


async def _attempt(downloads: Downloads, claim: Claim, work: Work) -> StoredObject:
    try:
        async with claim.held(ATTEMPT_DEADLINE):
            if claim.audio_object:  # somebody was here before, and may have died before noting an upload.
                await downloads.storage.abort_left(claim.audio_object, claim.audio_upload_id)
            stored, content_type = await _transfer(downloads, claim, work)
    except TimeoutError:
        raise StorageError("the attempt took longer than 15 minutes") from None
    await claim.store(stored, content_type)
    return stored


async def _transfer(downloads: Downloads, claim: Claim, work: Work) -> tuple[StoredObject, str]:
    job = claim.job
    async with AsyncExitStack() as stack:
        with work.waiting():
            answer = await stack.enter_async_context(
                downloads.client.stream(ask_for(claim.audio_content_uri, claim.priority))
            )
        content_type = content_type_of(answer)
        name = await claim.fix_object(
            recording_object_name(job.account_id, job.domain, claim.started_at, job.source_record_id, content_type)
        )
        stored = await downloads.storage.put(
            name,
            chunks_of(answer, work),
            content_type=content_type,
            note_upload=claim.note_upload,
            before_commit=claim.check,
        )
    try:
        facts = await downloads.storage.head(name)
    except FileNotFoundError:
        raise StorageError("the object is not there right after it was written") from None
    if facts.size != stored.size:
        raise StorageError(f"the storage holds {facts.size} bytes of {stored.size} that were written")
    if downloads.verify_after_store:
        await check_read_back(downloads.storage, name, stored, work.progress)
    return stored, content_type


async def _postpone(downloads: Downloads, claim: Claim, reason: RingCentralError) -> None:
    pause = timedelta(seconds=reason.retry_after) if isinstance(reason, Throttled) else _POSTPONED[type(reason)]
    await claim.hand_back(downloads.clock.now() + pause, None if isinstance(reason, NoBudget) else str(reason))
    DOWNLOADS.labels("postponed", type(reason).__name__).inc()
    structlog.get_logger().info("download_postponed", reason=str(reason))


async def _record_failure(downloads: Downloads, claim: Claim, error: Exception, reason: str) -> None:
    attempts = claim.attempts + 1
    kind: Kind = "not_ready" if isinstance(error, Missing) else "failed"
    step = next_step(kind, attempts)
    if step is None:
        await claim.give_up(reason, "failed")
    else:
        step = max(step, timedelta(seconds=pause_asked_by(error)))
        await claim.retry_later(reason, downloads.clock.now() + step)
    _tell_failure(error, reason, attempts, step)


def _tell_failure(error: Exception, reason: str, attempts: int, step: timedelta | None) -> None:
    DOWNLOADS.labels("failed", type(error).__name__).inc()
    seconds = step.total_seconds() if step else None
    structlog.get_logger().warning("download_failed", reason=reason, attempts=attempts, again_in_seconds=seconds)
