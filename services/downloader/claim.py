"""The claim: while it lives, nobody else works on this recording. Not the acknowledgement, this is the exclusion."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.clock import Clock
from common.database.pool import DatabaseAway, Pool
from common.database.statements import statements
from common.messages import DownloadRecording
from common.ringcentral.budget import Priority
from common.storage.interface import StoredObject
from services.downloader.plausibility import Known
from services.downloader.schedule import STEPS

#: Seconds a claim lives: a downloader that is killed blocks its recording no longer than that.
CLAIM_SECONDS: Final = 60.0
#: Seconds between renewals: three may fail before the claim is lost.
RENEW_EVERY: Final = 15.0
#: Seconds between two tries of a statement that waits: so late a database that is back is noticed at most.
_ONCE_MORE_AFTER: Final = 1.0


class ClaimLost(Exception):
    """Somebody else may hold the recording now; whatever was begun is dropped."""


@dataclass(slots=True)
class Claim:
    """A claim that this process holds, with what the row said when it was taken."""

    pool: Pool
    clock: Clock
    job: DownloadRecording
    audio_content_uri: str
    audio_object: str | None
    audio_upload_id: str | None
    attempts: int
    #: How often each kind of failure was met.
    failures: Mapping[str, int]
    #: Whether insights have brought this attempt forward.
    ahead: bool
    #: Why there is no audio yet, as far as it was tried; or why what there is, is in quarantine.
    reason: str | None
    quarantined: bool
    started_at: datetime
    priority: Priority
    known: Known
    claim_id: uuid.UUID
    #: Until when the claim lives for certain, by the loop's clock.
    lives_until: float
    lost: bool = field(default=False)

    async def _run(self, statement: str, *values: object) -> object:
        """Run a statement that holds only with this claim; raises `ClaimLost`."""
        job = self.job
        key = (job.account_id, job.domain, job.source_record_id, self.claim_id)
        found = await self.pool.fetchval(statements("recordings")[statement], *key, *values)
        if found is None:
            self.lost = True
            raise ClaimLost
        return found

    async def _run_patiently(self, statement: str, *values: object, ends: bool = False) -> object:
        """The same, and again while the database is away: see `_patiently`."""
        return await self._patiently(lambda: self._run(statement, *values), ends=ends)

    async def _patiently(self, run: Callable[[], Awaitable[object]], *, ends: bool = False) -> object:
        """What `run` returns; while the database is away, again for as long as the claim lives.

        Or all that the attempt has fetched would be fetched again. `ends` says that the statement ends the claim.
        Raises `ClaimLost` and `DatabaseAway`.
        """
        loop, answer_lost = asyncio.get_running_loop(), False
        while True:
            try:
                return await run()
            except ClaimLost:
                if not (ends and answer_lost) or loop.time() > self.lives_until:
                    raise
                self.lost = False  # nobody takes a living claim: it ended the first time, and only the answer was lost.
                return None
            except DatabaseAway as error:
                answer_lost = True
                if loop.time() + _ONCE_MORE_AFTER > self.lives_until:
                    raise
                structlog.get_logger().warning("claim_waits", error=str(error))
                await asyncio.sleep(_ONCE_MORE_AFTER)

    async def check(self) -> None:
        """Renew the claim, before what has come becomes visible; raises `ClaimLost` and `DatabaseAway`."""
        await self._patiently(self._renew)

    async def _renew(self) -> None:
        """Try once to renew the claim; what a later try was told meanwhile stays. Raises `ClaimLost`."""
        asked = asyncio.get_running_loop().time()
        await self._run("renew_claim", CLAIM_SECONDS)
        self.lives_until = max(self.lives_until, asked + CLAIM_SECONDS)

    async def fix_object(self, name: str) -> str:
        """The object's name: the first that was fixed, for ever."""
        self.audio_object = str(await self._run_patiently("fix_object", name))
        return self.audio_object

    async def note_upload(self, upload_id: str) -> None:
        """Note an open upload on the row, so that a successor can abort exactly that one."""
        await self._run_patiently("note_upload", upload_id)

    @property
    def age(self) -> timedelta:
        """Time since the call ended, as far as that is known."""
        return self.clock.now() - self.started_at - timedelta(milliseconds=self.known.call_ms or 0.0)

    async def store(
        self, stored: StoredObject, content_type: str, milliseconds: int | None, *, verified: bool = False
    ) -> None:
        """The end: the recording is stored, and `verified` when the object was read back."""
        await self._run_patiently(
            "store", stored.size, content_type, stored.sha256, self.clock.now(), milliseconds, verified, ends=True
        )

    async def quarantine(
        self,
        stored: StoredObject,
        content_type: str,
        milliseconds: int | None,
        reason: str,
        due_at: datetime | None,
        failures: Mapping[str, int],
    ) -> None:
        """It arrived whole and is not plausible: kept, and tried again when it is due, if it is."""
        facts = (stored.size, content_type, stored.sha256, self.clock.now(), milliseconds)
        await self._run_patiently("quarantine", *facts, reason, due_at, failures, ends=True)

    async def retry_later(self, reason: str, due_at: datetime, failures: Mapping[str, int]) -> None:
        """The attempt failed and counts."""
        await self._run_patiently("retry_later", reason, due_at, self.clock.now(), failures, ends=True)

    async def give_up(self, reason: str, state: str, failures: Mapping[str, int]) -> None:
        """The last attempt failed: `failed` or `unavailable`."""
        await self._run_patiently("give_up", reason, state, self.clock.now(), failures, ends=True)

    async def hand_back(self, due_at: datetime, reason: str | None) -> None:
        """No attempt took place; a reason, if there is one, is shown on the row."""
        await self._run("hand_back", due_at, reason)

    @asynccontextmanager
    async def held(self, deadline: float) -> AsyncIterator[None]:
        """Keep the claim alive while the block runs.

        Raises `ClaimLost` inside it as soon as the claim is lost, and `TimeoutError` after `deadline` seconds.
        """
        try:
            async with asyncio.timeout(deadline) as scope:
                keeper = asyncio.create_task(self._keep(scope))
                try:
                    yield
                finally:
                    keeper.cancel()
                    await asyncio.wait([keeper])
        except TimeoutError:
            if self.lost:
                raise ClaimLost from None
            raise

    async def _keep(self, scope: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        while not self.lost:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self._renew()
            except ClaimLost:
                break
            except DatabaseAway as error:
                structlog.get_logger().warning("claim_not_renewed", error=str(error))
                self.lost = loop.time() > self.lives_until
            except Exception:  # noqa: BLE001 - whatever it is, a claim that nobody renews is lost, and must be known to be.
                structlog.get_logger().exception("claim_keeper_failed")
                self.lost = True
        with contextlib.suppress(RuntimeError):  # the block has ended meanwhile
            scope.reschedule(loop.time())


async def take_claim(pool: Pool, clock: Clock, job: DownloadRecording, claim_id: uuid.UUID) -> Claim | None:
    """Claim a due recording; None when it is done, not due (then it is announced again when it is), or in other hands
    (then it falls due when those let go).
    """
    key = (job.account_id, job.domain, job.source_record_id)
    now, asked = clock.now(), asyncio.get_running_loop().time()
    row = await pool.fetchrow(statements("recordings")["claim"], *key, claim_id, CLAIM_SECONDS, now)
    if row is None:
        await pool.execute(statements("recordings")["postpone"], *key, now)
        return None
    return Claim(
        pool=pool,
        clock=clock,
        job=job,
        audio_content_uri=row["audio_content_uri"],
        audio_object=row["audio_object"],
        audio_upload_id=row["audio_upload_id"],
        attempts=row["audio_attempts"],
        failures=row["audio_failures"],
        ahead=row["audio_ahead"],
        reason=row["audio_reason"],
        quarantined=row["audio_state"] == "quarantined",
        started_at=row["started_at"] or row["first_seen_at"],
        priority=Priority(row["audio_priority"]),
        known=Known(recording_ms=row["recording_ms"], call_ms=row["call_ms"]),
        claim_id=claim_id,
        lives_until=asked + CLAIM_SECONDS,
    )


async def count_unclaimed_failure(
    pool: Pool, clock: Clock, job: DownloadRecording, claim_id: uuid.UUID, reason: str
) -> tuple[int, int] | None:
    """Claiming failed, which counts as an attempt: how many failures of the source and attempts there are now.

    With the last failure the recording has failed. None when nothing was counted: it is done, not due, or in other
    hands.
    """
    key = (job.account_id, job.domain, job.source_record_id)
    statement = statements("unclaimed_recordings")["count_failure"]
    row = await pool.fetchrow(statement, *key, reason, claim_id, STEPS["source_failed"], clock.now())
    return None if row is None else (row["failures"], row["attempts"])
