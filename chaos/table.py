"""The matrix as a table that a person can read at a glance."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos.faults import FAULTS, TARGETS, Cell
from chaos.matrix import Result

#: Characters that the table takes, also where no terminal says how wide it is.
_WIDTH: Final = 118


def show_table(console: Console, results: Sequence[Result]) -> None:
    """Targets by faults; each cell as lost / doubled, seconds to recover, and unanswered events if there were any."""
    by_cell = {result.cell: result for result in results if result.cell is not None}
    table = Table("", *FAULTS, title="lost / doubled, seconds to recover (events that RingCentral got no 200 for)")
    for target, shown in TARGETS.items():
        table.add_row(shown, *(_text(by_cell.get(Cell(target, fault))) for fault in FAULTS))
    Console(file=console.file, width=_WIDTH).print(table)
    run = [result for result in by_cell.values() if not result.not_run]
    lost = sum(len(result.findings.lost) for result in run)
    doubled = sum(len(result.findings.doubled) for result in run)
    unanswered = sum(result.findings.unanswered for result in run)
    never = sum(result.seconds is None for result in run)
    console.print(
        f"{len(run)} cells: {lost} lost, {doubled} doubled, {never} did not recover; {unanswered} events unanswered",
        highlight=False,
    )
    for reason in dict.fromkeys(result.not_run for result in by_cell.values() if result.not_run):
        cells = ", ".join(str(cell) for cell, result in by_cell.items() if result.not_run == reason)
        console.print(f"– {cells}: {reason}", soft_wrap=True, highlight=False)


def _text(result: Result | None) -> str:
    if result is None:
        return ""
    if result.not_run:
        return "–"
    found = result.findings
    seconds = "never" if result.seconds is None else f"{result.seconds:.0f} s"
    unanswered = f" ({found.unanswered})" if found.unanswered else ""
    return f"{len(found.lost)} / {len(found.doubled)}, {seconds}{unanswered}"
