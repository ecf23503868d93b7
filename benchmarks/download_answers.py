"""What is stored of bad answers, by ringvault, by `rclone copyurl` and by a plain copy; and which are good ones."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks.download_peers import plain_copy, rclone_one
from benchmarks.download_speed import SLOTS, access_token, content_url
from common.clock import SystemClock
from common.database.pool import Pool, open_pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.client import open_ringcentral
from common.settings import RingCentralSettings
from common.storage.interface import Storage
from common.storage.open import open_storage
from common.telemetry.health import Work
from demo.pipeline import BUCKET, Pipeline
from services.downloader.attempt import Downloads
from services.downloader.handle import handle
from services.downloader.storage_gate import StorageGate

#: Cases at a time: those that stall take half a minute each.
AT_ONCE: Final = 8
#: Bytes of a recording's begin that end with a frame, at each bit rate that the simulator draws.
WHOLE_FRAMES: Final = 50 * 2160


@dataclass(frozen=True, slots=True)
class Bad:
    """A bad answer: a fault of the simulator at a call, and what the row has to say: its state and part of its reason,
    one of several with `|` between.

    `unsized` alone: the kind has no length to tell.
    """

    name: str
    state: str
    reason: str
    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)
    lengths: tuple[bool, ...] = (True, False)


_JSON: Final = {"json": {"errorCode": "CMN-203"}, "content_type": "audio/mpeg"}
_HTML: Final = {"text": "<html><body>no</body></html>", "content_type": "audio/mpeg"}
#: Bytes before the end: less than a frame; a second at 48 kbit/s, within a frame at each bit rate; some seconds of
#: whole frames, at each bit rate.
_LITTLE: Final = {"after_bytes": -100}
_SECOND: Final = {"bytes": -6000}
_FRAMES: Final = {"after_bytes": -10 * 2160}
BAD: Final = (
    Bad("cut in the middle", "pending", "broke off", "cut"),
    Bad("cut at a random byte", "pending", "broke off", "cut", {"after_bytes": "random"}),
    Bad("ends early, unframed", "quarantined", "its last frame is cut", "cut_unframed", {}, {}, (False,)),
    Bad("ends near its end, unframed", "quarantined", "its last frame is cut", "cut_unframed", _LITTLE, {}, (False,)),
    Bad("a wav that does", "quarantined", "its header tells", "cut_unframed", _LITTLE, {"wav": True}, (False,)),
    Bad("ends between frames, unframed", "quarantined", "with the connection", "cut_unframed", _FRAMES, {}, (False,)),
    Bad("a second short", "quarantined", "its last frame is cut", "truncated", _SECOND),
    Bad("a wav, a second short", "quarantined", "its header tells", "truncated", _SECOND, {"wav": True}),
    Bad("error as JSON", "pending", "not audio", "json200"),
    Bad("error as JSON, called audio", "pending", "an error's text", "body", _JSON),
    Bad("error as HTML, called audio", "pending", "an error's text", "body", _HTML),
    Bad("empty", "pending", "is empty|0 bytes", "empty"),
    Bad("of type text/html", "pending", "not audio", "wrong_type"),
    Bad("of type audio/wav, an mp3", "quarantined", "was sent as", "wrong_type", {"content_type": "audio/wav"}),
    Bad("half of an mp3", "quarantined", "the call took", "truncated", {"bytes": WHOLE_FRAMES}),
    Bad("half of a wav", "quarantined", "its header tells", "truncated", {}, {"wav": True}),
    Bad("half of a VBR mp3", "quarantined", "its last frame is cut", "truncated", {}, {"vbr": True}),
    Bad("59 bytes", "quarantined", "no frame", "truncated", {"bytes": 59}),
    Bad("another mp3, shorter", "quarantined", "it plays 5.0 s", "other_audio", {"seconds": 5}),
    Bad("another mp3, longer", "quarantined", "it plays 90.0 s", "other_audio", {"seconds": 90}),
    Bad("another wav, shorter", "quarantined", "it plays 5.0 s", "other_audio", {"seconds": 5}, {"wav": True}),
    Bad("noise", "quarantined", "no audio that can be read", "noise"),
    Bad("zeros", "quarantined", "no audio that can be read", "noise", {"byte": 0}),
    Bad("an mp3 with a hole", "quarantined", "are no sound", "damaged"),
    Bad("206 with a half", "pending", "no ETag by which to ask", "partial"),
    Bad("stalled in the middle", "pending", "ReadTimeout", "stall", {"after_bytes": 50_000, "seconds": 600}),
    Bad("trickling", "pending", "too slow", "slow", {"bytes_per_second": 1000}),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What the cases share."""

    pipeline: Pipeline
    pool: Pool
    storage: Storage
    downloads: Downloads
    token: str

    async def order(self, call: Mapping[str, Any]) -> str:
        """A call of a minute at the simulator, and its row; the recording's id."""
        order = {"insights_after": None, "appears_after": 0, "audio_after": 0, **call}
        reply = await asyncio.to_thread(self.pipeline.ask_simulator, "/simulator/calls", order)
        id_: str = reply["calls"][0]["recordings"][0]
        uri = content_url(self.pipeline, id_, "").partition("?")[0]
        saying = Saying("call_log", "1", {"audio_content_uri": uri, "duration_ms": 60_000})
        async with self.pool.transaction() as connection:
            due = datetime.now(UTC) - timedelta(seconds=1)
            await merge_sayings(connection, self.downloads.client.account_id, [Said(("pbx", id_), saying)], due)
        return id_

    async def true_sha256(self) -> dict[str, str]:
        """By recording."""
        truth = await asyncio.to_thread(self.pipeline.ask_simulator, "/simulator/truth")
        return {one["id"]: one["sha256"] for one in truth["recordings"]}

    async def held(self, name: str) -> tuple[int, str] | None:
        """Bytes and sha256 of an object, or None when there is none."""
        digest, size = hashlib.sha256(), 0
        try:
            async with aclosing(self.storage.read(name)) as chunks:
                async for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
        except FileNotFoundError:
            return None
        return size, digest.hexdigest()


@asynccontextmanager
async def open_bench(pipeline: Pipeline) -> AsyncIterator[Bench]:
    """The downloader's parts in this process, on the pipeline's servers."""
    pipeline.migrate()
    # RingCentral documents no ETag, so the simulator has none here: every loss of a connection ends an attempt.
    pipeline.start_simulator(recordings=0, speed=1, history=0)
    pipeline.ask_simulator("/simulator/limits", {"heavy": SLOTS, "light": SLOTS})
    settings = pipeline.environment
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings["DATABASE_URL"], "bench", size=AT_ONCE + 4))
        storage = await stack.enter_async_context(
            open_storage(
                f"s3://{BUCKET}",
                endpoint_url=settings["AWS_ENDPOINT_URL_S3"],
                region=settings["AWS_REGION"],
                access_key=settings["AWS_ACCESS_KEY_ID"],
                secret_key=settings["AWS_SECRET_ACCESS_KEY"],
            )
        )
        ringcentral = {name: value for name, value in settings.items() if name.startswith("RC_")}
        clock = SystemClock()
        client = await stack.enter_async_context(
            open_ringcentral(RingCentralSettings.model_validate(ringcentral), pool, clock)
        )
        downloads = Downloads(pool, client, storage, clock, StorageGate(storage))
        yield Bench(pipeline, pool, storage, downloads, access_token(pipeline))


async def bad_answers(bench: Bench) -> bool:
    """Print the table; whether ringvault called nothing bad stored and every reason is right."""
    print(f"{'answer':30} {'length':6}  {'ringvault':12} {'rclone copyurl':16} {'plain copy':16} reason on the row")
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(bad: Bad, length: bool) -> tuple[str, bool]:
        async with turns:
            return await _case(bench, bad, length=length)

    cases = [one(bad, length) for bad in BAD for length in bad.lengths]
    lines = await asyncio.gather(*cases)
    print("\n".join(line for line, _ in lines), flush=True)
    wrong = sum(not right for _, right in lines)
    print(f"{len(lines)} bad answers of {len(BAD)} kinds: {wrong} not as they should be (limit 0)", flush=True)
    return wrong == 0


async def _case(bench: Bench, bad: Bad, *, length: bool) -> tuple[str, bool]:
    id_ = await bench.order(bad.call)
    fault = {"endpoint": "recording.content", "kind": bad.kind, "match": f"/{id_}/", "times": 1_000_000}
    order = {**fault, "length": length, **bad.parameters}
    await asyncio.to_thread(bench.pipeline.ask_simulator, "/simulator/faults", order)
    await handle(bench.downloads, [DownloadRecording(bench.downloads.client.account_id, "pbx", id_)], Work())
    row = await bench.pool.fetchrow("SELECT * FROM recordings WHERE source_record_id = $1", id_)
    assert row is not None
    assert bench.pipeline.s3 is not None
    url, key = content_url(bench.pipeline, id_, bench.token), uuid.uuid4().hex
    await rclone_one(url, f"{BUCKET}/{key}-rclone", s3=bench.pipeline.s3)
    await plain_copy(url, BUCKET, f"{key}-plain", s3=bench.pipeline.s3)
    true = (await bench.true_sha256())[id_]
    others = [_told(await bench.held(f"{key}-{peer}"), true) for peer in ("rclone", "plain")]
    state, reason = row["audio_state"], row["audio_reason"] or ""
    right = state == bad.state and any(one in reason for one in bad.reason.split("|"))
    right = right and await _holds_what_it_says(bench, dict(row))
    shown = f"{bad.name:30} {'yes' if length else 'no':6}  {state:12} {others[0]:16} {others[1]:16} {reason}"
    return shown + (
        "" if right else f"   <- WRONG: {bad.state} because of {bad.reason!r} was to be, and held so"
    ), right


async def _holds_what_it_says(bench: Bench, row: Mapping[str, Any]) -> bool:
    """Whether the storage has nothing of what is pending, and of what is quarantined the very bytes of the row."""
    held = await bench.held(row["audio_object"]) if row["audio_object"] else None
    return held == (None if row["audio_state"] == "pending" else (row["audio_bytes"], row["audio_sha256"]))


def _told(held: tuple[int, str] | None, true: str) -> str:
    if held is None:
        return "nothing"
    return "whole" if held[1] == true else f"BAD, {held[0]} B"


#: Good recordings, one batch a line: how many calls, and of what kind; some calls have two recordings.
GOOD: Final = (
    (150, {"seconds": 64}),
    (100, {"seconds": 340}),
    (120, {"seconds": 75, "wav": True}),
    (60, {"seconds": 200, "wav": True}),
    (150, {"seconds": 90, "vbr": True}),
    (60, {"seconds": 310, "vbr": True}),
    (50, {"seconds": 900, "recording_seconds": 33}),
    (50, {"seconds": 600, "recording_seconds": 200, "vbr": True}),
    (40, {"seconds": 700, "recording_seconds": 45, "wav": True}),
    (40, {"seconds": 120, "transfer": True}),
    (30, {"seconds": 150, "transfer": True, "wav": True}),
    (30, {"seconds": 80, "second_recording": True}),
    (10, {"seconds": 100, "second_recording": True, "vbr": True}),
)
