"""How fast the downloader is beside `rclone copyurl`: same source, same S3 server, same run, ample budget.

The speed is compared over a line, of one gigabit a second unless told otherwise, which both are to fill: then the
network is the limit, and not who copies. Without it, CPU decides on one machine, because the source and the S3 server
share its cores with whoever copies; what those two use is printed, too.
"""

import json
import shutil
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from benchmarks.download_peers import Run, copy_all
from benchmarks.memory import cpu_seconds, peak_mb
from common.database.pool import open_pool
from demo.pipeline import BUCKET, Pipeline, events_of, wait_for

#: Heavy requests a minute: far more than are asked, so that the budget is no limit.
SLOTS: Final = 2000
#: Streams at a time, for both: what each does unless told otherwise.
STREAMS: Final = 4
#: Seconds for one load: some 10 MB/s on a busy machine.
WITHIN: Final = 900.0
#: What the downloader may use with four large recordings at once, in MB.
LIMIT_MB: Final = 160
#: A downloader that is as fast as rclone; the noise of a shared machine is not forgiven, a third digit is not told.
GOODPUT: Final = 1.0
#: Megabits a second of the line, for all connections together, unless told otherwise: where source, servers and
#: downloader share cores that are too slow for it, these are the limit, and a narrower line shows more.
LINE: Final = 1000
#: Seconds to the first byte, as over a continent.
FIRST_BYTE: Final = 0.03
#: The part of the line that rclone must fill, or the line was not the limit, and nothing is shown.
FILLED: Final = 0.9
#: Bytes sent for each byte needed while every tenth connection is cut.
WASTE: Final = 1.05


@dataclass(frozen=True, slots=True)
class Load:
    """So many recordings of so many bytes."""

    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size

    def __str__(self) -> str:
        return f"{self.count} x {self.size / 1e6:.0f} MB"


class Speed:
    """A pipeline whose budget is no limit; loads are ordered one after the other."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        #: Bytes a second that the source gives at most.
        self.line: int | None = None
        pipeline.migrate()
        self._source = pipeline.start_simulator(recordings=0, speed=1, history=0, audio_etag="strong")
        pipeline.ask_simulator("/simulator/limits", {"heavy": SLOTS, "light": SLOTS})
        pipeline.start("webhook")

    def put_on_a_line(self, megabits: int) -> None:
        """From now on a line of so many megabits a second is between the source and both."""
        self.line = megabits * 125_000
        slow = {"endpoint": "recording.content", "kind": "slow", "times": 1_000_000, "together": True}
        self.pipeline.ask_simulator("/simulator/faults", {**slow, "bytes_per_second": self.line, "seconds": FIRST_BYTE})

    def cpu_of_servers(self) -> float:
        """CPU seconds of the source and the S3 server so far."""
        assert self.pipeline.s3 is not None
        return cpu_seconds(self._source.pid) + cpu_seconds(self.pipeline.s3.pid)

    def order(self, load: Load) -> list[str]:
        """Recordings of that load, at the simulator alone; their ids."""
        made = [self.pipeline.ask_simulator("/simulator/recordings", {"bytes": load.size}) for _ in range(load.count)]
        return [call["recordings"][0] for reply in made for call in reply["calls"]]

    def ours(self, load: Load) -> Run:
        """Order the load and download it with a new process, from the first request at the source to the last stored.

        What comes before is not counted, as with rclone: the start of the process, and the first slot.
        """
        downloader = self.pipeline.start("downloader", DOWNLOAD_CONCURRENCY=str(STREAMS))
        ids = self.order(load)
        before = cpu_seconds(downloader.pid)
        self.pipeline.start("poller", POLL_INTERVAL="1")

        def stored() -> Sequence[Mapping[str, Any]]:
            return [line for line in events_of(downloader.log) if line.get("event") == "download_stored"]

        wait_for(lambda: len(stored()) >= load.count, within=WITHIN, what=f"{load} are stored")
        end = max(datetime.fromisoformat(line["timestamp"]).timestamp() for line in stored())
        run = Run(end - self.began(ids), cpu_seconds(downloader.pid) - before, peak_mb(downloader.pid))
        for name in ("poller", "downloader"):
            self.pipeline.kill(name)
        return run

    def rclone(self, load: Load) -> Run:
        """The same load with `rclone copyurl`."""
        assert self.pipeline.s3 is not None
        token, ids = access_token(self.pipeline), self.order(load)
        urls = {id_: content_url(self.pipeline, id_, token) for id_ in ids}
        s3, folder = self.pipeline.s3, self.pipeline.folder
        run = copy_all(urls, f"{BUCKET}/peer", s3=s3, folder=folder, transfers=STREAMS, began=self.began)
        for id_ in ids:  # or our poller would find them as well.
            self.pipeline.ask_simulator("/simulator/recordings/expire", {"recording_id": id_, "remove": True})
        return run

    def began(self, ids: Iterable[str]) -> float:
        """When the source was asked for the first of these recordings, in Unix time."""
        asked: dict[str, float] = self.pipeline.ask_simulator("/simulator/requests/first")["recording.content"]
        wanted = set(ids)
        return min(at for path, at in asked.items() if path.split("?")[0].split("/")[-2] in wanted)

    async def rows(self) -> Sequence[Mapping[str, Any]]:
        """What the rows say of the audio."""
        async with open_pool(self.pipeline.environment["DATABASE_URL"], "bench", size=1) as pool:
            columns = "source_record_id, audio_state, audio_reason, audio_sha256"
            return [dict(row) for row in await pool.fetch(f"SELECT {columns} FROM recordings")]  # noqa: S608 - our own

    def stored_bytes(self) -> int:
        """Bytes of all audio in the S3 server, all of which then is deleted to make room."""
        assert self.pipeline.s3 is not None
        bucket = self.pipeline.s3.folder / "buckets" / BUCKET
        size = sum(path.stat().st_size for path in bucket.rglob("*") if path.is_file() and path.suffix != ".json")
        for path in bucket.iterdir():
            shutil.rmtree(path)
        return size


def content_url(pipeline: Pipeline, id_: str, token: str) -> str:
    """Where a recording is, for clients that send no header; the media host takes the token so, too (facts 5)."""
    return f"{pipeline.simulator['url']}/restapi/v1.0/account/~/recording/{id_}/content?access_token={token}"


def access_token(pipeline: Pipeline) -> str:
    """A token for a peer."""
    told = pipeline.simulator
    form = urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": told["jwt"]})
    request = Request(f"{told['url']}/restapi/oauth/token", data=form.encode())  # noqa: S310 - the simulator's own address
    secret = b64encode(f"{told['client_id']}:{told['client_secret']}".encode()).decode()
    request.add_header("Authorization", f"Basic {secret}")
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        return str(json.load(answer)["access_token"])


def compare(speed: Speed, load: Load, rounds: int) -> bool:
    """Both in turns, each first in every other round; prints a line for each, by the medians of the rounds.

    On a line, whether it was the limit and our goodput is that of rclone to two digits; without, True.
    """
    runs: dict[str, list[Run]] = {"ringvault": [], "rclone copyurl": []}
    beside: dict[str, list[float]] = {name: [] for name in runs}
    turns = [("ringvault", speed.ours), ("rclone copyurl", speed.rclone)]
    for number in range(rounds):
        for name, run in reversed(turns) if number % 2 else turns:
            before = speed.cpu_of_servers()
            runs[name].append(run(load))
            beside[name].append(speed.cpu_of_servers() - before)
            stored = speed.stored_bytes()
            if stored != load.total:
                raise RuntimeError(f"{name} stored {stored} bytes of {load.total}")
    pace = {name: median(load.total / 1e6 / run.seconds for run in of) for name, of in runs.items()}
    for name, of in runs.items():
        cpu = median(run.cpu / load.total * 1e9 for run in of)
        peak = max(run.peak_mb for run in of)
        servers = median(beside[name]) / load.total * 1e9
        figures = f"{pace[name]:6.0f} MB/s  {cpu:5.2f} s of CPU per GB (servers {servers:.1f})  peak {peak:4.0f} MB"
        print(f"{load!s:12}  {name:14}  {figures}", flush=True)
    ratio = round(pace["ringvault"] / pace["rclone copyurl"], 2)
    told = f"{load!s:12}  goodput {ratio:.2f} x rclone copyurl"
    if speed.line is None:
        print(f"{told} (no limit: CPU decides)", flush=True)
        return True
    filled = pace["rclone copyurl"] * 1e6 / speed.line
    print(f"{told} (limit {GOODPUT:.2f}), which fills {filled:.0%} of the line (limit {FILLED:.0%})", flush=True)
    return ratio >= GOODPUT and filled >= FILLED
