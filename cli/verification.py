"""Reading stored objects back and comparing them with their rows; what differs is fetched again where it can be had."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.settings import RetentionSettings
from common.storage.interface import Storage, StorageError, StoredObject
from common.storage.read_back import difference, read_back

#: Objects read at a time: enough to hide the way to a far storage, few enough to be a small load on it.
_STREAMS: Final = 4
#: Rows read from the database at a time.
_PAGE: Final = 200
#: Objects in a row that cannot be read before that counts as an outage of the storage.
_FAULTS: Final = 5
#: Objects that are looked for before it is believed that the storage has none: STORAGE_URL may name another one.
_LOOKED_FOR: Final = 20

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects: those that nobody has looked at since `looked_at_before`, and that were stored since then or
    later; by chance so many of them, or all.
    """

    account_id: str
    looked_at_before: datetime
    stored_since: datetime = _EVER
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is not what was stored, and what became of its row."""

    domain: str
    source_record_id: str
    audio_object: str
    reason: str
    audio_state: str


@dataclass(slots=True)
class Result:
    """What a verification has found."""

    selected: int
    intact: int = 0
    read_bytes: int = 0
    differences: list[Difference] = field(default_factory=list)
    #: Objects that the storage did not give, with its last sentence on that.
    unread: int = 0
    unread_reason: str | None = None
    #: Whether the end was reached.
    finished: bool = False

    @property
    def looked_at(self) -> int:
        """Objects that were looked at."""
        return self.intact + len(self.differences) + self.unread

    def as_map(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


class NoneThereError(Exception):
    """No object at all is in the storage."""


class Pace:
    """At most so many bytes a second, over all streams."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0
        self._free_at = 0.0

    async def spend(self, count: int) -> None:
        """Wait until these bytes may have been read."""
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + count * self._seconds_per_byte
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


@dataclass(slots=True)
class Verification:
    """One run. `dry` leaves every row as it is; `tell` is called with the result after each object."""

    pool: Pool
    storage: Storage
    clock: Clock
    selection: Selection
    pace: Pace
    tell: Callable[[Result], None]
    dry: bool = False
    retention: RetentionSettings = field(default_factory=lambda: RetentionSettings.model_validate({}))
    _faults: int = 0
    #: The object that was there last.
    _seen: str | None = None

    async def run(self) -> Result:
        """Verify what is selected, in the order of how long nobody has looked at it; progress is on the rows.

        A cancellation ends it early, with what was found until then, and so does a storage that gives several objects
        in a row no more. Raises `DatabaseAway`.
        """
        (total,) = await self._fetch("count")
        sample = self.selection.sample
        result = Result(total["objects"] if sample is None else min(total["objects"], sample))
        try:
            async with aclosing(self._rows()) as rows:
                await self._read_all(rows, result)
            result.finished = self._faults < _FAULTS
        except asyncio.CancelledError:
            pass
        return result

    async def check_that_some_are_there(self) -> None:
        """Raises `NoneThereError` when none of some objects by chance is there."""
        everything = (self.selection.account_id, self.clock.now(), _EVER, _LOOKED_FOR)
        rows = await self.pool.fetch(statements("verification")["sample"], *everything)
        for row in rows:
            try:
                await self.storage.head(row["audio_object"])
            except FileNotFoundError:
                continue
            self._seen = row["audio_object"]
            return
        if rows:
            raise NoneThereError

    async def _read_all(self, rows: AsyncGenerator[asyncpg.Record, None], result: Result) -> None:
        one_at_a_time = asyncio.Lock()

        async def stream() -> None:
            while self._faults < _FAULTS:
                async with one_at_a_time:
                    row = await anext(rows, None)
                if row is None:
                    return
                await self._verify(row, result)
                self.tell(result)

        try:
            async with asyncio.TaskGroup() as streams:
                for _ in range(_STREAMS):
                    streams.create_task(stream())
        except ExceptionGroup as faults:  # one will do: what happens to one stream happens to all.
            raise faults.exceptions[0] from None

    async def _rows(self) -> AsyncGenerator[asyncpg.Record, None]:
        if self.selection.sample is not None:
            for row in await self._fetch("sample", self.selection.sample):
                yield row
            return
        place: tuple[datetime, str, str] = (_EVER, "", "")
        while page := await self._fetch("next", *place, _PAGE):
            for row in page:
                yield row
            place = (page[-1]["looked_at"], page[-1]["domain"], page[-1]["source_record_id"])

    async def _verify(self, row: asyncpg.Record, result: Result) -> None:
        async def note(count: int) -> None:
            result.read_bytes += count
            await self.pace.spend(count)

        try:
            found = await self._find(row["audio_object"], note)
        except StorageError as fault:
            result.unread += 1
            result.unread_reason = str(fault)
            self._faults += 1
            return
        self._faults = 0
        wrong = difference(StoredObject(row["audio_bytes"], row["audio_sha256"]), found)
        if wrong is None:
            await self._record("is_intact", row, self.clock.now())
            result.intact += 1
        else:
            result.differences.append(await self._record_difference(row, wrong, is_there=found is not None))

    async def _find(self, name: str, note: Callable[[int], Awaitable[None]]) -> StoredObject | None:
        """What is there of an object; raises `StorageError` when the one that was there last is gone as well."""
        try:
            found = await read_back(self.storage, name, note)
        except FileNotFoundError:
            if self._seen is None:
                return None
        else:
            self._seen = name
            return found
        try:
            await self.storage.head(self._seen)
        except FileNotFoundError:
            raise StorageError("The storage has lost what was just there: is it still the same, and mounted?") from None
        return None

    async def _record_difference(self, row: asyncpg.Record, wrong: str, *, is_there: bool) -> Difference:
        now, kept = self.clock.now(), self.retention.longest_kept
        obtainable = bool(row["audio_content_uri"]) and row["began_at"] > now - kept
        state, reason = state_after(wrong, is_there=is_there, obtainable=obtainable, kept=kept)
        await self._record("differs", row, state, reason, now if state == "pending" else None, now)
        return Difference(row["domain"], row["source_record_id"], row["audio_object"], reason, state)

    async def _record(self, statement: str, row: asyncpg.Record, *values: object) -> None:
        if not self.dry:
            key = (self.selection.account_id, row["domain"], row["source_record_id"], row["audio_stored_at"])
            await self.pool.execute(statements("verification")[statement], *key, *values)

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        chosen = self.selection
        selected = (chosen.account_id, chosen.looked_at_before, chosen.stored_since)
        return await self.pool.fetch(statements("verification")[statement], *selected, *values)


def state_after(wrong: str, *, is_there: bool, obtainable: bool, kept: timedelta) -> tuple[str, str]:
    """The state and reason of a row whose object differs: fetched again where that can be, else said for good."""
    if obtainable:
        return "pending", f"{wrong}; it is fetched again"
    reason = f"{wrong}, and RingCentral keeps recordings for {kept.days} days only"
    return ("quarantined" if is_there else "unavailable"), reason
