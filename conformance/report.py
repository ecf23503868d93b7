"""The judgement over all exchanges, and its lines for people."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conformance.check import deviations_of, operation_of
from conformance.exchange import WRONG_ON_PURPOSE, Deviation, Exchange
from conformance.known import KNOWN_FAULTS, NOT_NEEDED, known_fault
from conformance.specification import Specification


@dataclass(slots=True)
class Judgement:
    """`answered`: how often each operation was, with which status; it is covered when one of them was a 2xx.

    `left_out`: operations that are not covered, without a reason; `stale`: known faults that nothing showed.
    """

    answered: dict[str, Counter[int]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    known: Counter[str] = field(default_factory=Counter)
    deviations: Counter[Deviation] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.deviations and not self.left_out and not self.stale

    def covers(self, operation: str) -> bool:
        """Whether it was answered as it should be: refusals alone show nothing of its true answer."""
        return any(200 <= status < 300 for status in self.answered.get(operation, ()))


def judge(specification: Specification, exchanges: Iterable[Exchange]) -> Judgement:
    """Check every exchange, that no operation was left out without a reason, and that no excuse is out of date."""
    judgement = Judgement()
    for exchange in exchanges:
        name = operation_of(specification, exchange)
        judgement.answered.setdefault(name, Counter())[exchange.status] += 1
        judgement.answers += 1
        if exchange.sender != WRONG_ON_PURPOSE:
            judgement.requests[exchange.sender] += 1
        for deviation in deviations_of(specification, exchange):
            known = known_fault(deviation)
            if known is None:
                judgement.deviations[deviation] += 1
            else:
                judgement.known[known.name] += 1
    names = {operation.id for operation in specification.operations} - NOT_NEEDED.keys()
    judgement.left_out = sorted(name for name in names if not judgement.covers(name))
    judgement.stale = [known.name for known in KNOWN_FAULTS if not judgement.known[known.name]]
    return judgement


def lines_of(judgement: Judgement, specification: Specification) -> Iterator[str]:
    """What was covered and checked, the file's known faults, and the deviations."""
    names = [operation.id for operation in specification.operations]
    covered = [name for name in names if judgement.covers(name)]
    yield f"operations covered: {len(covered)} of {len(names)}"
    for name, statuses in sorted(judgement.answered.items()):
        answered = ", ".join(f"{status} × {count}" for status, count in sorted(statuses.items()))
        yield f"  {name}: {answered}"
    for name in sorted(set(names) - set(covered)):
        yield f"  {name}: not answered with any 2xx: {NOT_NEEDED.get(name, 'AND NO REASON IS KNOWN')}"
    senders = ", ".join(f"{count} of {sender}" for sender, count in sorted(judgement.requests.items()))
    yield f"requests checked: {judgement.requests.total()} ({senders})"
    yield f"answers checked: {judgement.answers}"
    yield "known faults of the file:"
    for known in KNOWN_FAULTS:
        seen = f"seen {judgement.known[known.name]} times"
        yield f"  {known.name}: {'STALE, never seen' if known.name in judgement.stale else seen}; {known.reason}"
    yield f"deviations: {len(judgement.deviations)}"
    for deviation, count in sorted(judgement.deviations.items()):
        yield f"  {deviation} ({count} times)"
