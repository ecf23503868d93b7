"""`make bench-download`: the downloader beside `rclone copyurl`, and what becomes of bad and of good answers.

| part | shows | limit |
|---|---|---|
| speed | goodput of both for 200 x 5 MB and 3 x 500 MB, over a line (`--line`: a gigabit a second) | 1.00 of rclone's |
| cores | the same without that line, where source, S3 server and who copies share the cores | none: CPU decides |
| memory | the downloader's peak with four streams of 500 MB at once | 160 MB |
| cuts | bytes sent for each byte needed while every tenth connection is cut at a random byte | 1.05 |
| answers | what is stored of bad answers, with and without Content-Length, by three tools | nothing bad is stored |
| good | 1,000 varied good recordings: parts and legs of calls, VBR without header | none is quarantined |
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from benchmarks.download_answers import GOOD, bad_answers, open_bench
from benchmarks.download_speed import LIMIT_MB, LINE, WASTE, Load, Speed, compare
from benchmarks.memory import peak_mb
from demo.pipeline import Pipeline, wait_for

MB: Final = 1_000_000
#: Part of the connections that must have been cut, of a tenth that is ordered.
LEAST_CUT: Final = 0.05
#: Good recordings that prove something.
LEAST_GOOD: Final = 1000
#: Seconds that the good recordings may take together: some ten a second, on a busy machine.
GOOD_WITHIN: Final = 900.0


def main() -> int:
    """Run the parts and print their figures; 1 when one is beyond its limit."""
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {
        "speed": _speed,
        "cores": _cores,
        "memory": _memory,
        "cuts": _cuts,
        "answers": _answers,
        "good": _good,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(parts), action="append", help="only this part; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the speed, of which the median counts")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the bytes, for a quick look (default 1)")
    parser.add_argument("--line", type=int, default=LINE, help=f"megabits a second of the line (default {LINE})")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    failed = []
    for name in options.part or parts:
        print(f"\n{name}", flush=True)
        if not parts[name](options):
            failed.append(name)
            print(f"FAILED: {name}", flush=True)
    return 1 if failed else 0


def _speed(options: argparse.Namespace) -> bool:
    with _pipeline() as pipeline:
        speed = Speed(pipeline)
        speed.put_on_a_line(options.line)
        return _compare(speed, options)


def _cores(options: argparse.Namespace) -> bool:
    with _pipeline() as pipeline:
        return _compare(Speed(pipeline), options)


def _compare(speed: Speed, options: argparse.Namespace) -> bool:
    loads = (Load(200, 5 * MB), Load(3, round(500 * MB * options.scale / 2) * 2))
    fast = [compare(speed, load, options.rounds) for load in loads]
    return all(fast)


def _memory(options: argparse.Namespace) -> bool:
    load = Load(4, round(500 * MB * options.scale / 2) * 2)
    with _pipeline() as pipeline:
        run = Speed(pipeline).ours(load)
    print(f"{load!s} at once: peak memory {run.peak_mb:.0f} MB (limit {LIMIT_MB} MB)", flush=True)
    return run.peak_mb < LIMIT_MB


def _cuts(_options: argparse.Namespace) -> bool:
    load = Load(200, 5 * MB)
    with _pipeline() as pipeline:
        speed = Speed(pipeline)
        cut = {"endpoint": "recording.content", "kind": "cut", "after_bytes": "random"}
        pipeline.ask_simulator("/simulator/faults", {**cut, "chance": 0.1, "times": 1_000_000})
        speed.ours(load)
        counts = pipeline.ask_simulator("/simulator/counts")
        happened: int = counts["faults"]["recording.content:cut"]
        asked: int = counts["requests"]["recording.content"]
        sent: int = counts["sent_bytes"]["recording.content"]
    waste, share = sent / load.total, happened / asked
    cut_so_often = f"{happened} of {asked} connections cut ({share:.1%}, at least {LEAST_CUT:.0%})"
    print(f"{load!s}, {cut_so_often}: {waste:.4f} bytes sent for each needed (limit {WASTE})")
    return 1.0 <= waste <= WASTE and share >= LEAST_CUT


def _answers(_options: argparse.Namespace) -> bool:
    async def run(pipeline: Pipeline) -> bool:
        async with open_bench(pipeline) as bench:
            return await bad_answers(bench)

    with _pipeline() as pipeline:
        return asyncio.run(run(pipeline))


def _good(_options: argparse.Namespace) -> bool:
    with _pipeline() as pipeline:
        speed = Speed(pipeline)
        for count, call in GOOD:
            pipeline.ask_simulator("/simulator/calls", {"count": count, "appears_after": 0, "audio_after": 0, **call})
        downloader = pipeline.start("downloader")
        pipeline.start("poller")
        truth: dict[str, str] = {
            one["id"]: one["sha256"] for one in pipeline.ask_simulator("/simulator/truth")["recordings"]
        }

        def settled() -> bool:
            told = ("download_stored", "download_quarantined")
            return sum(len(pipeline.told("downloader", event)) for event in told) >= len(truth)

        wait_for(settled, within=GOOD_WITHIN, what=f"{len(truth)} recordings are settled")
        rows = asyncio.run(speed.rows())
        requests = pipeline.ask_simulator("/simulator/counts")["requests"]
        peak = peak_mb(downloader.pid)
    stored = [row for row in rows if row["audio_state"] == "stored"]
    right = sum(row["audio_sha256"] == truth[row["source_record_id"]] for row in stored)
    asked: int = requests.get("recording.get", 0)
    print(f"{len(truth)} good recordings: {right} stored and true, {len(truth) - right} not (limit 0)")
    print(f"{asked} of them for one request more; peak memory {peak:.0f} MB", flush=True)
    for reason in sorted({row["audio_reason"] for row in rows if row["audio_reason"]}):
        print(f"  {reason}")
    return len(truth) >= LEAST_GOOD and right == len(truth)


@contextmanager
def _pipeline() -> Iterator[Pipeline]:
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-bench-") as folder,
        Pipeline(Path(folder), storage="s3") as pipeline,
    ):
        yield pipeline


if __name__ == "__main__":
    sys.exit(main())
