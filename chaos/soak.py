"""The soak: a long time under load with an outage of each server, and what every process holds meanwhile."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos.faults import TARGETS, Cell, inflict
from chaos.judge import Judge
from chaos.load import Load
from chaos.matrix import RECOVERS_WITHIN, show_all, until_right
from chaos.world import World

#: The outages in their order; each begins at its share of the time, so that each quarter but the first has one and the
#: last has the time to recover.
_OUTAGES: Final[Mapping[Cell, float]] = {
    Cell("rabbitmq", "SIGKILL"): 0.28,
    Cell("postgres", "SIGKILL"): 0.44,
    Cell("s3", "SIGKILL"): 0.60,
    Cell("ringcentral", "cut"): 0.78,
}
#: Seconds that an outage lasts: longer than every time-out of a connection, so that everybody has to connect again.
_OUTAGE: Final = 30.0
#: Seconds between two looks at the processes.
_LOOK_EVERY: Final = 2.0
#: Megabytes by which the least of the last quarter may be above that of the second: the allocator's own steps after the
#: backlog of an outage. What work in hand needs comes and goes, so a leak shows in the least, not in the most: one that
#: kept 4 KB of each event would pass this in twenty minutes.
_MEMORY_MAY_GROW: Final = 5.0
#: The same for file descriptors: idle connections of pools and clients.
_FILES_MAY_GROW: Final = 4
#: Characters that the table takes, also where no terminal says how wide it is.
_WIDTH: Final = 110
_MB: Final = 1024  # of the kernel's kB


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at one time: megabytes, shared ones divided among their users and not, and descriptors."""

    share: float
    pss: float
    rss: float
    files: int


@dataclass(slots=True)
class Watch:
    """The samples of every process of ours."""

    world: World
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def look(self, share: float) -> None:
        """Take one sample of each; `share` is how much of the time is over."""
        for names in self.world.replicas.values():
            for name in names:
                if self.world.process(name).is_alive():
                    self.samples.setdefault(name, []).append(_sample(self.world.process(name).pid, share))


def run_soak(world: World, minutes: float, seed: int, console: Console) -> bool:
    """Run that long; whether nothing is lost or doubled and every process is flat."""
    chance, watch = Random(f"soak {seed}"), Watch(world)
    with Judge(world.pipeline) as judge:
        load = Load(world.pipeline, chance)
        load.start()
        try:
            _live(world, watch, 60 * minutes, chance, console)
        finally:
            load.stop()
        ended = time.monotonic()
        while not judge.looks_done(load.recordings) and time.monotonic() < ended + RECOVERS_WITHIN:
            time.sleep(_LOOK_EVERY)
        console.print(f"all was stored {time.monotonic() - ended:.0f} s after the last call", highlight=False)
        watch.look(1.0)
        findings = until_right(judge, load.recordings, time.monotonic() + RECOVERS_WITHIN)
        show_all(console, findings, judge.dead_letters())
    restarted = [name for name in watch.samples if not world.process(name).is_alive()]
    for name in restarted:
        console.print(f"{name} has ended by itself")
    flat = show_watch(console, watch.samples)
    return findings.right and not restarted and flat


def _live(world: World, watch: Watch, seconds: float, chance: Random, console: Console) -> None:
    """Let the time pass, with the outages in it."""
    began = time.monotonic()
    due = list(_OUTAGES.items())
    with ExitStack() as outage:
        ends = 0.0
        while (share := (time.monotonic() - began) / seconds) < 1:
            if due and share >= due[0][1]:
                cell, _ = due.pop(0)
                console.print(f"{share * seconds:6.0f} s  {cell} for {_OUTAGE:.0f} s", highlight=False)
                outage.enter_context(inflict(cell, world, chance))
                ends = time.monotonic() + _OUTAGE
            if ends and time.monotonic() > ends:
                outage.close()
                ends = 0.0
            watch.look(share)
            time.sleep(_LOOK_EVERY)


def _sample(pid: int, share: float) -> Sample:
    fields = dict(_fields(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(share, fields["Pss"] / _MB, fields["Rss"] / _MB, files)


def _fields(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines()[1:]:
        name, _, value = line.partition(":")
        yield name, int(value.split()[0])


def show_watch(console: Console, samples: Mapping[str, Sequence[Sample]]) -> bool:
    """Print the least and the most of each quarter and the end, and return whether every process is flat."""
    table = Table("", "PSS MB by quarter", "end", "RSS end", "descriptors by quarter", "end", "flat")
    flat = True
    for name, taken in samples.items():
        pss = [[one.pss for one in part] for part in quarters(taken)]
        files = [[one.files for one in part] for part in quarters(taken)]
        good = is_flat([min(part) for part in pss], [min(part) for part in files])
        flat = flat and good
        service = TARGETS[name.split("-")[0]]
        table.add_row(
            f"{service} {name.split('-')[1]}",
            "  ".join(f"{min(part):.0f}–{max(part):.0f}" for part in pss),
            f"{taken[-1].pss:.1f}",
            f"{taken[-1].rss:.1f}",
            "  ".join(f"{min(part)}–{max(part)}" for part in files),
            str(taken[-1].files),
            "yes" if good else "NO",
        )
    Console(file=console.file, width=_WIDTH, quiet=console.quiet).print(table)
    console.print(
        f"flat: the least of the last quarter is at most {_MEMORY_MAY_GROW:g} MB and {_FILES_MAY_GROW} descriptors "
        "above that of the second; the first is for warming up",
        soft_wrap=True,
        highlight=False,
    )
    return flat


def quarters(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """The samples of each quarter of the time, without the one that was taken after it."""
    return [[one for one in samples if quarter / 4 <= one.share < (quarter + 1) / 4] for quarter in range(4)]


def is_flat(pss: Sequence[float], files: Sequence[float]) -> bool:
    """Whether a process held no more in the last quarter than in the second, by the least of each."""
    return pss[3] - pss[1] <= _MEMORY_MAY_GROW and files[3] - files[1] <= _FILES_MAY_GROW
