"""The judgement: what is lost, doubled and unanswered, by the simulator's truth, the rows, the audit, the objects."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from common.amqp.topology import QUEUES, dead_letter_queue
from common.database.pool import DatabaseAway, Pool, open_pool
from common.storage.interface import Storage, StorageError
from common.storage.object_names import sidecar_name
from common.storage.open import open_storage
from demo.check import Verdict, compare, read_held
from demo.pipeline import Pipeline

_STORED: Final = """
SELECT count(*) FROM recordings WHERE audio_state = 'stored' AND source_record_id = ANY($1::text[])
"""
#: A recording is stored once, an event journaled once; nothing else gets one and the same value twice.
DOUBLED: Final = "SELECT what, key FROM chaos.changes GROUP BY what, key, value HAVING count(*) > 1"
_OBJECTS: Final = "SELECT audio_object FROM recordings WHERE audio_state = 'stored'"
_PIECES: Final = "SELECT object FROM journal_archives"
#: Where a process tries the storage. What it has written there it cannot delete when the storage goes away meanwhile,
#: or when it is killed; it is about no recording.
_TRIALS: Final = "check/"


@dataclass(slots=True)
class Findings:
    """What was found; sentences, each about one recording, event, object or upload."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    #: Events that RingCentral sent and that got no 200: nobody promised to keep them, and RingCentral drops them.
    unanswered: int = 0
    recordings: int = 0
    events: int = 0

    @property
    def right(self) -> bool:
        """Whether all is there, once."""
        return not self.lost and not self.doubled


class Judge:
    """Looks at the servers themselves, which store in S3. Use in a `with` block; the audit begins with it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._seen: set[str] = set()
        self._judged: set[str] = set()
        self._told: set[str] = set()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._runner.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    async def _open(self) -> None:
        settings = self._pipeline.environment
        enter = self._stack.enter_async_context
        self._pool: Pool = await enter(open_pool(settings["DATABASE_URL"], "judge", size=2))
        self._storage: Storage = await enter(
            open_storage(
                settings["STORAGE_URL"],
                endpoint_url=settings["AWS_ENDPOINT_URL_S3"],
                region=settings["AWS_REGION"],
                access_key=settings["AWS_ACCESS_KEY_ID"],
                secret_key=settings["AWS_SECRET_ACCESS_KEY"],
            )
        )
        self._simulator: httpx.AsyncClient = await enter(
            httpx.AsyncClient(base_url=self._pipeline.simulator["url"], timeout=60)
        )
        await self._pool.execute(resources.files("chaos").joinpath("audit.sql").read_text(encoding="utf-8"))

    def looks_done(self, recordings: Sequence[str]) -> bool:
        """Whether these recordings are stored: cheap, so that it can be asked often."""
        return self._runner.run(self._looks_done(recordings))

    async def _looks_done(self, recordings: Sequence[str]) -> bool:
        try:
            return bool(await self._pool.fetchval(_STORED, recordings) == len(recordings))
        except DatabaseAway:
            return False

    def look(self) -> Findings:
        """Judge all that has come since the last `accept`."""
        return self._runner.run(self._look(self._judged))

    def look_at_all(self) -> Findings:
        """Judge everything, each object read once more."""
        self._told.clear()
        return self._runner.run(self._look(set()))

    def accept(self, findings: Findings) -> None:
        """What was found is told: the next look is at what comes later, and at what is doubled newly."""
        self._told |= set(findings.doubled)
        self._judged = set(self._seen)

    async def _look(self, judged: AbstractSet[str]) -> Findings:
        truth = (await self._simulator.get("/simulator/truth")).json()
        self._seen = {recording["id"] for recording in truth["recordings"]}
        part = part_of(truth, judged)
        try:
            held = await read_held(self._pool, truth["account_id"], without=judged)
            verdict = await compare(part, {"refused": 0}, held, self._storage, at_least=0)
            doubled = [
                *await self._doubled(),
                *self._superfluous_objects(await self._named()),
            ]
            uploads = await self._storage.open_uploads()
        except (DatabaseAway, StorageError) as error:
            return Findings(lost=[f"the judge could not look: {error}"])
        doubled += [f"the upload of {name} was left open" for name, _ in uploads if not name.startswith(_TRIALS)]
        return findings_of(truth, part, verdict, [one for one in doubled if one not in self._told])

    async def _doubled(self) -> list[str]:
        return [f"{row['what']} {row['key']}: changed twice to the same" for row in await self._pool.fetch(DOUBLED)]

    async def _named(self) -> set[str]:
        """What may be there: the audio of stored recordings, the file beside each, and the journal's pieces."""
        audio = {name for (name,) in await self._pool.fetch(_OBJECTS)}
        pieces = {name for (name,) in await self._pool.fetch(_PIECES)}
        return audio | {sidecar_name(name) for name in audio} | pieces

    def _superfluous_objects(self, named: AbstractSet[str]) -> list[str]:
        """Files that no row names: a bucket is a folder of the private S3 server, which has hidden files of its own."""
        if self._pipeline.s3 is None:
            raise LookupError("the judgement needs a pipeline that stores in S3")
        place = urlsplit(self._pipeline.environment["STORAGE_URL"])
        folder = Path(self._pipeline.s3.folder, "buckets", place.netloc, place.path.strip("/"))
        files = {str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.is_file()}
        return [f"the object {name} is nobody's" for name in sorted(files - named) if not name.startswith(_TRIALS)]

    def dead_letters(self) -> dict[str, int]:
        """How many messages each queue of dead letters holds."""
        told = json.loads(self._pipeline.rabbitmq.ctl("list_queues", "name", "messages", "--formatter", "json"))
        messages = {line["name"]: int(line["messages"]) for line in told}
        return {queue: count for queue in QUEUES if (count := messages.get(dead_letter_queue(queue), 0))}


def part_of(truth: Mapping[str, Any], judged: AbstractSet[str]) -> dict[str, Any]:
    """The truth about what was not judged yet, without the events that were not answered: they are counted apart."""
    return {
        **truth,
        "recordings": [one for one in truth["recordings"] if one["id"] not in judged],
        "insights": [one for one in truth["insights"] if one["record_id"] not in judged],
        "events": [one for one in truth["events"] if one["record_id"] not in judged and one["delivered"]],
    }


def findings_of(
    truth: Mapping[str, Any], part: Mapping[str, Any], verdict: Verdict, doubled: Sequence[str]
) -> Findings:
    """The check's verdict on a part of the truth, what is doubled, and what RingCentral got no answer for."""
    ids = {recording["id"] for recording in part["recordings"]}
    tried = [event for event in truth["events"] if event["record_id"] in ids and event["tries"]]
    lost = list(verdict.faults)
    if not truth["finished"]:
        lost.append("RingCentral is not finished yet")
    return Findings(
        lost=lost,
        doubled=list(doubled),
        unanswered=sum(not event["delivered"] for event in tried),
        recordings=verdict.recordings,
        events=len(part["events"]),
    )
