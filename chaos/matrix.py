"""The kill matrix: cell by cell under load, each held against the truth before the next begins."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from rich.console import Console

from chaos.faults import FAULTS, Cell, inflict
from chaos.judge import Findings, Judge
from chaos.load import Load
from chaos.world import World

#: Seconds of load before a fault begins, so that everything is under way.
_BEFORE: Final = 3.0
#: Seconds of load in the cell without a fault.
_WITHOUT: Final = 5.0
#: Seconds until a cell counts as not recovered. What is built in: a killed downloader's claim lives for 60 s; an
#: announcement that was lost grows old after 100 s at ten requests a second; the third attempt comes 70 s after the
#: first.
RECOVERS_WITHIN: Final = 240.0
#: Seconds between two looks.
_LOOK_EVERY: Final = 0.5
#: Sentences that are shown of one cell.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Result:
    """How a cell ended. `seconds`: from the end of the fault until all was right, None when it never was."""

    cell: Cell | None
    findings: Findings = field(default_factory=Findings)
    seconds: float | None = None
    #: Processes that ended by themselves; an orchestrator would start them again, and so do we.
    died: Sequence[str] = ()
    not_run: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was lost or doubled, and no process gave up."""
        return bool(self.not_run) or (self.findings.right and self.seconds is not None and not self.died)


def run_cells(world: World, cells: Sequence[Cell], seed: int, console: Console) -> list[Result]:
    """Run the cells in their order, after a look at how long it takes without a fault; at the end judge everything."""
    results: list[Result] = []
    with Judge(world.pipeline) as judge:
        load = Load(world.pipeline, Random(f"load {seed}"))
        for cell in (None, *cells):
            result = _run_cell(world, cell, judge, load, Random(f"{cell} {seed}"))
            results.append(result)
            show_result(console, result)
        findings = judge.look_at_all()
        results.append(Result(None, findings, 0.0))
        show_all(console, findings, judge.dead_letters())
    return results


def _run_cell(world: World, cell: Cell | None, judge: Judge, load: Load, chance: Random) -> Result:
    if cell is not None and (reason := cell.why_not(world)):
        return Result(cell, not_run=reason)
    load.start()
    time.sleep(_BEFORE)
    try:
        if cell is None:
            time.sleep(_WITHOUT)
        else:
            with inflict(cell, world, chance):
                time.sleep(FAULTS[cell.fault])
    finally:
        load.stop()
    ended, died = time.monotonic(), list[str]()
    findings = until_right(
        judge, load.recordings, ended + RECOVERS_WITHIN, meanwhile=lambda: died.extend(world.replace_the_dead())
    )
    seconds = time.monotonic() - ended if findings.right else None
    judge.accept(findings)
    return Result(cell, findings, seconds, died)


def until_right(
    judge: Judge, recordings: Sequence[str], deadline: float, *, meanwhile: Callable[[], None] = lambda: None
) -> Findings:
    """Look until nothing is lost any more, or the deadline, which is one of `time.monotonic`, is over."""
    while True:
        meanwhile()
        late = time.monotonic() > deadline
        if late or judge.looks_done(recordings):
            findings = judge.look()
            if late or not findings.lost:
                return findings
        time.sleep(_LOOK_EVERY)


def show_result(console: Console, result: Result) -> None:
    """One line as soon as a cell has ended, and what was wrong."""
    name = str(result.cell or "nothing")
    if result.not_run:
        console.print(f"{name:<22} not run: {result.not_run}", soft_wrap=True, highlight=False)
        return
    found = result.findings
    recovered = f"{result.seconds:5.1f} s" if result.seconds is not None else "never"
    console.print(
        f"{name:<22} lost {len(found.lost)}  doubled {len(found.doubled)}  recovered {recovered}  unanswered "
        f"{found.unanswered}  of {found.recordings} recordings and {found.events} events",
        soft_wrap=True,
        highlight=False,
    )
    for name in result.died:
        console.print(f"    {name} ended by itself", highlight=False)
    show_faults(console, found)


def show_faults(console: Console, findings: Findings) -> None:
    """The first sentences of what is wrong."""
    faults = [*(f"lost: {one}" for one in findings.lost), *(f"doubled: {one}" for one in findings.doubled)]
    for fault in faults[:_SHOWN]:
        console.print(f"    {fault}", soft_wrap=True, highlight=False)
    if len(faults) > _SHOWN:
        console.print(f"    … and {len(faults) - _SHOWN} more", highlight=False)


def show_all(console: Console, findings: Findings, dead_letters: dict[str, int]) -> None:
    """The last judgement, over everything that happened."""
    console.print(
        f"\nall together: {findings.recordings} recordings and {findings.events} answered events; lost "
        f"{len(findings.lost)}, doubled {len(findings.doubled)}, unanswered {findings.unanswered}; dead letters "
        f"{sum(dead_letters.values())}",
        soft_wrap=True,
        highlight=False,
    )
    show_faults(console, findings)
