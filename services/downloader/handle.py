"""The handler: claim, attempt, record the outcome on the row."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from common.database.pool import DatabaseAway
from common.messages import DownloadRecording
from common.ringcentral.errors import (
    CredentialRefused,
    Forbidden,
    ForeignHost,
    Missing,
    NoBudget,
    Rejected,
    RingCentralError,
    Throttled,
    Unauthenticated,
    pause_asked_by,
)
from common.storage.interface import ObjectTooLarge, StorageError
from common.telemetry.health import Work
from common.telemetry.metrics import DOWNLOAD_SECONDS, DOWNLOADS
from services.downloader.attempt import Arrived, Downloads, attempt
from services.downloader.claim import Claim, ClaimLost, count_unclaimed_failure, take_claim
from services.downloader.permission_gate import PermissionMissing
from services.downloader.schedule import (
    Kind,
    counted,
    next_step,
    next_step_when_missing,
    next_step_when_refused,
    why_unavailable,
)
from services.downloader.storage_gate import StorageAway

#: When a job is due again that got no slot (others had them: soon), whose storage is away (the gate knows more then),
#: or that waits for a person to mend a credential or to grant a permission to all: uncounted, so that mending it heals
#: the row whenever that is.
_POSTPONED: Final[dict[type[Exception], timedelta]] = {
    NoBudget: timedelta(seconds=5),
    StorageAway: timedelta(minutes=1),
    CredentialRefused: timedelta(minutes=1),
    Unauthenticated: timedelta(minutes=1),
    PermissionMissing: timedelta(hours=1),
}
_UNCOUNTED: Final[tuple[type[Exception], ...]] = (Throttled, *_POSTPONED)
#: Seconds to say on the row that work is handed back while the process stops.
_HAND_BACK_WITHIN: Final = 3.0


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
        counts = await count_unclaimed_failure(downloads.pool, downloads.clock, job, claim_id, reason)
    except asyncpg.PostgresError:  # what it refused before, it may refuse again: the first error is the one to tell.
        structlog.get_logger().exception("failure_not_recorded")
        return
    if counts is not None:
        failures, attempts = counts
        _tell_failure(error, reason, attempts, next_step("source_failed", failures))


async def _hand_back(downloads: Downloads, claim: Claim) -> None:
    """Stopping: let somebody else begin at once; when that cannot be said now, the claim ends by itself."""
    with suppress(ClaimLost, DatabaseAway, TimeoutError):
        async with asyncio.timeout(_HAND_BACK_WITHIN):
            await asyncio.shield(claim.hand_back(downloads.clock.now(), None))
            structlog.get_logger().info("download_handed_back")


async def _download(downloads: Downloads, claim: Claim, work: Work) -> None:
    try:
        await _attempt(downloads, claim, work)
    except (ClaimLost, DatabaseAway):
        raise
    except Exception as error:
        await _record_unexpected(downloads, claim, error)
        raise


async def _record_unexpected(downloads: Downloads, claim: Claim, error: Exception) -> None:
    """Whatever step it came from, it counts as an attempt: or the recording would be announced again without an end."""
    try:
        await _record_failure(downloads, claim, "source_failed", error, f"unexpected {type(error).__name__}")
    except asyncpg.PostgresError:
        await _record_unclaimed_failure(downloads, claim.job, claim.claim_id, error)


async def _attempt(downloads: Downloads, claim: Claim, work: Work) -> None:
    started = time.monotonic()
    try:
        arrived = await attempt(downloads, claim, work)
    except _UNCOUNTED as reason:
        await _postpone(downloads, claim, reason)
    except (Forbidden, ForeignHost) as reason:
        await _wait_for_a_person(downloads, claim, reason)
    except (Missing, Rejected) as reason:
        await _record_refusal(downloads, claim, reason)
    except RingCentralError as reason:
        await _record_failure(downloads, claim, "source_failed", reason, str(reason))
    except StorageError as reason:
        await _record_storage_failure(downloads, claim, reason)
    else:
        await _record(downloads, claim, arrived, time.monotonic() - started)


async def _record(downloads: Downloads, claim: Claim, arrived: Arrived, seconds: float) -> None:
    """What arrived is stored, or quarantined and due again."""
    length = None if arrived.audio.milliseconds is None else round(arrived.audio.milliseconds)
    log = structlog.get_logger().bind(size=arrived.stored.size, seconds=round(seconds, 3))
    if arrived.verdict.kind == "good":
        verified = downloads.verify_after_store
        await claim.store(arrived.stored, arrived.content_type, length, verified=verified)
        DOWNLOADS.labels("stored", "").inc()
        DOWNLOAD_SECONDS.observe(seconds)
        log.info("download_stored")
        return
    failures = counted(claim.failures, "implausible", ahead=claim.ahead)
    reason, step = arrived.verdict.reason, next_step("implausible", failures["implausible"])
    due_at = None if step is None else downloads.clock.now() + step
    await claim.quarantine(arrived.stored, arrived.content_type, length, reason, due_at, failures)
    DOWNLOADS.labels("quarantined", "").inc()
    log.warning("download_quarantined", reason=reason, attempts=claim.attempts + 1, again_in_seconds=_told(step))


async def _postpone(downloads: Downloads, claim: Claim, reason: Exception) -> None:
    pause = timedelta(seconds=reason.retry_after) if isinstance(reason, Throttled) else _POSTPONED[type(reason)]
    await claim.hand_back(downloads.clock.now() + pause, None if isinstance(reason, NoBudget) else str(reason))
    _tell_postponed(reason)


def _tell_postponed(reason: Exception) -> None:
    DOWNLOADS.labels("postponed", type(reason).__name__).inc()
    structlog.get_logger().info("download_postponed", reason=str(reason))


async def _wait_for_a_person(downloads: Downloads, claim: Claim, error: Forbidden | ForeignHost) -> None:
    """Who must grant a permission, or allow a host (see `allowed_now`): uncounted, as long as RingCentral has it."""
    reason, kept = str(error), downloads.retention.longest_kept
    again = claim.quarantined or claim.reason == reason
    step = next_step_when_refused(claim.age, kept, before_as_well=again)
    if step is None:
        await _record_unavailable(downloads, claim, error, claim.failures)
    else:
        await claim.hand_back(downloads.clock.now() + step, reason)
        _tell_postponed(error)


async def _record_refusal(downloads: Downloads, claim: Claim, error: Missing | Rejected) -> None:
    """RingCentral has nothing there, not yet or never; or calls the request wrong, which is a failure like others."""
    if isinstance(error, Rejected) and error.status != 410:
        await _record_failure(downloads, claim, "source_failed", error, str(error))
        return
    reason, kept = str(error), downloads.retention.longest_kept
    again = claim.quarantined or (claim.reason == reason and not claim.ahead)
    failures = counted(claim.failures, "not_ready", ahead=claim.ahead)
    step = next_step_when_missing(failures["not_ready"], claim.age, kept, before_as_well=again)
    if step is None or isinstance(error, Rejected):
        await _record_unavailable(downloads, claim, error, failures)
    else:
        await claim.retry_later(reason, downloads.clock.now() + step, failures)
        _tell_failure(error, reason, claim.attempts + 1, step)


async def _record_unavailable(
    downloads: Downloads, claim: Claim, error: RingCentralError, failures: Mapping[str, int]
) -> None:
    """RingCentral will never give it."""
    reason = str(error)
    why = why_unavailable(claim.age, downloads.retention.longest_kept, reason)
    await claim.give_up(why, "unavailable", failures)
    _tell_failure(error, reason, claim.attempts + 1, None)


async def _record_storage_failure(downloads: Downloads, claim: Claim, error: StorageError) -> None:
    """A storage that finds one recording too large works: it takes all others."""
    too_large = isinstance(error, ObjectTooLarge)
    if not too_large:
        downloads.gate.close(str(error))
    await _record_failure(downloads, claim, "too_large" if too_large else "storage_failed", error, str(error))


async def _record_failure(downloads: Downloads, claim: Claim, kind: Kind, error: Exception, reason: str) -> None:
    failures = counted(claim.failures, kind, ahead=claim.ahead)
    step = next_step(kind, failures[kind])
    if step is None:
        await claim.give_up(reason, "failed", failures)
    else:
        step = max(step, timedelta(seconds=pause_asked_by(error)))
        await claim.retry_later(reason, downloads.clock.now() + step, failures)
    _tell_failure(error, reason, claim.attempts + 1, step)


def _tell_failure(error: Exception, reason: str, attempts: int, step: timedelta | None) -> None:
    DOWNLOADS.labels("failed", type(error).__name__).inc()
    structlog.get_logger().warning("download_failed", reason=reason, attempts=attempts, again_in_seconds=_told(step))


def _told(step: timedelta | None) -> float | None:
    return step.total_seconds() if step else None
