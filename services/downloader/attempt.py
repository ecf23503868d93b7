"""One attempt: fetch, inspect on the way, prove, store, look."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Final

from common.clock import Clock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Forbidden, NoBudget, SourceFailed, Throttled, pause_asked_by
from common.ringcentral.recording import recording_seconds
from common.settings import RetentionSettings
from common.storage.interface import Storage, StorageError, StoredObject
from common.storage.object_names import recording_object_name
from common.storage.read_back import check_read_back
from common.telemetry.health import Work
from common.telemetry.metrics import RECORDINGS_ASKED_FOR_LENGTH
from services.downloader.audio import Audio, Inspection
from services.downloader.claim import Claim
from services.downloader.fetch import FINISHING, Anew, Source
from services.downloader.permission_gate import PermissionGate
from services.downloader.plausibility import Verdict, judge, judge_by_metadata
from services.downloader.storage_gate import StorageGate
from services.downloader.waits import Waits

#: Seconds for one attempt, the wait for its slots included: half of the broker's acknowledgement timeout of 30 min.
ATTEMPT_DEADLINE: Final = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Downloads:
    """What the handler works with."""

    pool: Pool
    client: RingCentral
    storage: Storage
    clock: Clock
    gate: StorageGate
    verify_after_store: bool = False
    retention: RetentionSettings = field(default_factory=lambda: RetentionSettings.model_validate({}))
    permission: PermissionGate = field(default_factory=PermissionGate)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What stands in the storage now, and what is thought of it."""

    stored: StoredObject
    content_type: str
    audio: Audio
    verdict: Verdict


async def attempt(downloads: Downloads, claim: Claim, work: Work) -> Arrived:
    """Bring the audio into the storage, whole; whether it is plausible is in the verdict.

    Raises RingCentral's errors, `StorageError`, `StorageAway`, `PermissionMissing` and `ClaimLost`; nothing is written
    then.
    """
    waits = Waits()
    try:
        async with claim.held(ATTEMPT_DEADLINE), AsyncExitStack() as stack:
            with waits.on("storage"):
                with work.waiting():
                    await downloads.gate.pass_through()
                if claim.audio_object:  # somebody was here before, and may have died before noting an upload.
                    await downloads.storage.abort_left(claim.audio_object, claim.audio_upload_id)
            source = Source(downloads.client, claim.audio_content_uri, claim.priority, work, waits)
            with downloads.permission.passing(claim.reason):
                await stack.enter_async_context(source)
            name = await claim.fix_object(_name_for(claim, source.content_type))
            while True:
                try:
                    with waits.on("storage"):
                        return await _transfer(downloads, claim, source, name, work)
                except Anew:
                    continue
    except TimeoutError:
        raise waits.too_long(ATTEMPT_DEADLINE) from None


def _name_for(claim: Claim, content_type: str) -> str:
    job = claim.job
    return recording_object_name(job.account_id, job.domain, claim.started_at, job.source_record_id, content_type)


async def _transfer(downloads: Downloads, claim: Claim, source: Source, name: str, work: Work) -> Arrived:
    """Store what the source gives; the verdict falls before the object becomes visible."""
    inspection = Inspection()
    judged: list[tuple[Audio, Verdict]] = []

    async def prove() -> None:
        audio = inspection.result(sized=source.sized)
        judged.append((audio, await _verdict_on(downloads, claim, audio, source, work)))
        await claim.check()

    async with aclosing(_inspected(source, inspection)) as chunks:
        stored = await downloads.storage.put(
            name, chunks, content_type=source.content_type, note_upload=claim.note_upload, before_commit=prove
        )
    await _look(downloads.storage, name, stored)
    if downloads.verify_after_store:
        await check_read_back(downloads.storage, name, stored, work.progress)
    audio, verdict = judged[-1]
    return Arrived(stored, source.content_type, audio, verdict)


async def _inspected(source: Source, inspection: Inspection) -> AsyncGenerator[bytes, None]:
    async with aclosing(source.chunks()) as chunks:
        async for chunk in chunks:
            inspection.feed(chunk)
            yield chunk


async def _verdict_on(downloads: Downloads, claim: Claim, audio: Audio, source: Source, work: Work) -> Verdict:
    """Judge; what is odd costs one more heavy request, which clears it up. Raises RingCentral's errors.

    No budget for it is a failure of this attempt, which received all; an answer that RingCentral refuses or fails to
    give leaves the audio in doubt, and so in quarantine.
    """
    verdict = judge(audio, source.content_type, claim.known, framed=source.framed)
    if verdict.kind != "odd":
        return verdict
    try:
        with work.waiting(), source.waits.on("budget"):
            seconds = await recording_seconds(downloads.client, claim.job.source_record_id, FINISHING)
    except (NoBudget, Throttled) as error:
        unasked = f"{verdict.reason}; its length could not be asked: {error}"
        raise SourceFailed(unasked, retry_after=pause_asked_by(error)) from None
    except (Forbidden, SourceFailed) as error:
        verdict = Verdict("bad", f"{verdict.reason}; its length could not be asked: {error}")
    else:
        verdict = judge_by_metadata(audio, verdict, seconds)
    RECORDINGS_ASKED_FOR_LENGTH.labels(verdict.kind).inc()
    return verdict


async def _look(storage: Storage, name: str, stored: StoredObject) -> None:
    """Whether the storage has what was written; raises `StorageError`."""
    try:
        facts = await storage.head(name)
    except FileNotFoundError:
        raise StorageError("the object is not there right after it was written") from None
    if facts.size != stored.size:
        raise StorageError(f"the storage holds {facts.size} bytes of {stored.size} that were written")
