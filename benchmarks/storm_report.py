"""What the seeds of the storms benchmark planned to go wrong, what of it happened, and what was never tried. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.fault_names import BY_NAME_ONLY, NAMES, chosen_faults

#: Kinds that are left out here, and why, beside those that the simulator itself leaves to their names.
LEFT_OUT: Final[Mapping[str, str]] = {
    **BY_NAME_ONLY,
    "events:foreign-account": "another account's events are answered 403, which is tried in the tests",
    "events:disabled-filters": "no event comes any more until a person has granted the permission",
}


@dataclass(slots=True)
class Report:
    """All seeds together. `by_kind`: planned and happened, by name; `asked`: endpoints that got any request."""

    chosen: frozenset[str]
    planned: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    #: What was planned at endpoints that got no request at all, in this seed: nothing could happen there.
    unasked: Counter[str] = field(default_factory=Counter)
    windows_begun: int = 0
    windows_ended: int = 0

    def add(self, counts: Mapping[str, Any], *, begun: int, ended: int) -> Iterator[str]:
        """Count one seed in; lines about what it has left."""
        left: Counter[str] = Counter()
        for row in counts["by_seed"]:
            if "." in row["place"] and not counts["requests"].get(row["place"]):
                self.unasked[row["place"]] += row["planned"]
                continue
            self.planned[row["name"]] += row["planned"]
            self.happened[row["name"]] += row["happened"]
            left[row["name"]] += row["left"]
        self.windows_begun += begun
        self.windows_ended += ended
        yield f"call log read by windows instead of the sync endpoint: {begun} times, and by it again: {ended} times"
        some = ", ".join(f"{name} {count}" for name, count in sorted((+left).items()))
        yield f"left: {some or 'nothing'}"

    def faults(self) -> Iterator[str]:
        """What must not be over all seeds: a kind that never happened proves nothing."""
        for name in sorted(self.chosen):
            if not self.happened[name]:
                yield f"{name} was chosen and never happened"
        if not self.windows_ended:
            yield "the call log was never read by the sync endpoint again after windows"

    def lines(self) -> Iterator[str]:
        """Tables for people: kinds, and what was left out."""
        yield f"{'kind':26}  planned  happened  left"
        for name in sorted(self.chosen):
            planned, happened = self.planned[name], self.happened[name]
            yield f"{name:26}  {planned:7}  {happened:8}  {planned - happened:4}"
        where = ", ".join(f"{place} {count}" for place, count in sorted(self.unasked.items()))
        yield f"planned where nothing was asked, and not counted: {where or 'nothing'}"
        yield "left out:"
        yield from (f"  {name:26}  {reason}" for name, reason in sorted(reasons_for(self.chosen).items()))


def reasons_for(chosen: Iterable[str]) -> dict[str, str]:
    """Why each kind that was not chosen is left out. Raises KeyError for one that nobody gave a reason for."""
    return {name: LEFT_OUT[name] for name in NAMES - set(chosen)}


def report_of(faults: str) -> Report:
    """An empty one for a choice of faults as the simulator takes it."""
    return Report(chosen_faults(faults))
