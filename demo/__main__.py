"""`python -m demo`: private servers, the simulator and the four services, for a simulated company of 220 recordings.

`STORAGE=s3` uses a real local S3 server instead of the file system; `KEEP=1` leaves everything running until Ctrl-C.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from common.settings import read_settings
from demo.pipeline import SERVICES, Pipeline
from demo.watch import LEAST_RECORDINGS, WatchSettings, watch
from private_servers.errors import PrivateServerError

#: One business hour in a minute: long enough to watch, short enough to wait for.
COMPANY: Final = {
    "recordings": 220,
    "extensions": 12,
    "span": 1500,
    "history": 3600,
    "speed": 60,
    "seed": 7,
    "begin_with_subscription": True,
}


def main() -> int:
    """Run the demonstration; 0 only when every recording is stored and every insight merged."""
    storage = os.environ.get("STORAGE", "file")
    if storage not in {"file", "s3"}:
        sys.stderr.write("demo: STORAGE is either file or s3\n")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    audio = Path.cwd() / ".demo" / "audio"
    shutil.rmtree(audio, ignore_errors=True)
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="ringvault-demo-") as folder:
            return _run(Path(folder), "s3" if storage == "s3" else "file", audio, console)
    except PrivateServerError as fault:
        sys.stderr.write(f"demo: {fault}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(folder: Path, storage: Literal["file", "s3"], audio: Path, console: Console) -> int:
    console.print("Starting RabbitMQ, Postgres" + (", S3" if storage == "s3" else "") + " …")
    with Pipeline(folder, storage=storage, audio=audio) as pipeline:
        pipeline.migrate()
        pipeline.start_simulator(**COMPANY)
        console.print("Starting the simulator and the four services …")
        pipeline.start_all(*SERVICES)
        settings = read_settings(WatchSettings, pipeline.environment)
        verdict = asyncio.run(watch(settings, console, at_least=LEAST_RECORDINGS))
        if verdict.faults:
            logs = Path.cwd() / ".demo" / "logs"
            shutil.rmtree(logs, ignore_errors=True)
            shutil.copytree(folder, logs, ignore=shutil.ignore_patterns("spool", "audio"))
            console.print(f"The logs of all processes are in {logs}.")
        if os.environ.get("KEEP") == "1":
            _keep(pipeline, console)
        return 1 if verdict.faults else 0


def _keep(pipeline: Pipeline, console: Console) -> None:
    console.print("\nEverything keeps running until Ctrl-C:")
    for name, address in (
        ("Postgres", pipeline.postgres.url),
        ("RabbitMQ", pipeline.rabbitmq.url),
        ("receiver", pipeline.webhook_url),
        ("simulator", pipeline.simulator["url"]),
        ("S3", pipeline.s3.endpoint_url if pipeline.s3 else "not used"),
    ):
        console.print(f"  {name:<10} {address}", soft_wrap=True)
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
