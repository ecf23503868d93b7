"""`make bench-memory`: one recording of 1 GB through the downloader into S3, with its peak memory.

The limit stands beside the figure: the downloader may use 150 MB, whatever a recording's size.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from demo.pipeline import Pipeline, events_of, wait_for

SIZE: Final = 1_000_000_000
LIMIT_MB: Final = 150
#: Seconds that the whole may take: some 20 MB/s, a slow disk's pace.
WITHIN: Final = 600.0


def main() -> int:
    """Run and print; 1 when the memory is beyond the limit."""
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-bench-") as folder,
        Pipeline(Path(folder), storage="s3") as pipeline,
    ):
        pipeline.migrate()
        pipeline.start_simulator(recordings=0, speed=60, history=3600, span=60, extra_recording_bytes=SIZE)
        pipeline.start("webhook")
        downloader = pipeline.start("downloader")
        idle = peak_mb(downloader.pid)
        started = time.monotonic()
        pipeline.start("poller")

        def stored() -> bool:
            return any(line.get("event") == "download_stored" for line in events_of(downloader.log))

        wait_for(stored, within=WITHIN, what="the recording is stored")
        seconds = time.monotonic() - started
        peak = peak_mb(downloader.pid)
        cpu = cpu_seconds(downloader.pid)
    print(f"one recording of {SIZE / 1e6:.0f} MB: {seconds:.1f} s, {SIZE / 1e6 / seconds:.0f} MB/s, CPU {cpu:.1f} s")
    print(f"peak memory of the downloader {peak:.0f} MB (limit {LIMIT_MB} MB), {idle:.0f} MB before the stream")
    return 0 if peak < LIMIT_MB else 1


def peak_mb(pid: int) -> float:
    """The most resident memory that a process ever had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100  # clock ticks are hundredths on every Linux we run on


if __name__ == "__main__":
    sys.exit(main())
