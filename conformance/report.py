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
    """`covered`: how often each operation was answered with which status. `faults`: whatever must not be."""

    covered: dict[str, Counter[int]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    known: Counter[str] = field(default_factory=Counter)
    deviations: Counter[Deviation] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.deviations and not self.left_out


def judge(specification: Specification, exchanges: Iterable[Exchange]) -> Judgement:
    """Check every exchange, and that no operation was left out without a reason."""
    judgement = Judgement()
    for exchange in exchanges:
        name = operation_of(specification, exchange)
        judgement.covered.setdefault(name, Counter())[exchange.status] += 1
        judgement.answers += 1
        if exchange.sender != WRONG_ON_PURPOSE:
            judgement.requests[exchange.sender] += 1
        for deviation in deviations_of(specification, exchange):
            known = known_fault(deviation)
            if known is None:
                judgement.deviations[deviation] += 1
            else:
                judgement.known[known.name] += 1
    names = {operation.id for operation in specification.operations}
    judgement.left_out = sorted(names - judgement.covered.keys() - NOT_NEEDED.keys())
    return judgement


def lines_of(judgement: Judgement, specification: Specification) -> Iterator[str]:
    """What was covered and checked, the file's known faults, and the deviations."""
    names = [operation.id for operation in specification.operations]
    covered = [name for name in names if name in judgement.covered]
    yield f"operations covered: {len(covered)} of {len(names)}"
    for name, statuses in sorted(judgement.covered.items()):
        answered = ", ".join(f"{status} × {count}" for status, count in sorted(statuses.items()))
        yield f"  {name}: {answered}"
    for name in sorted(set(names) - set(covered)):
        yield f"  {name}: not exercised: {NOT_NEEDED.get(name, 'AND NO REASON IS KNOWN')}"
    senders = ", ".join(f"{count} of {sender}" for sender, count in sorted(judgement.requests.items()))
    yield f"requests checked: {judgement.requests.total()} ({senders})"
    yield f"answers checked: {judgement.answers}"
    yield "known faults of the file:"
    for known in KNOWN_FAULTS:
        yield f"  {known.name}: seen {judgement.known[known.name]} times; {known.reason}"
    yield f"deviations: {len(judgement.deviations)}"
    for deviation, count in sorted(judgement.deviations.items()):
        yield f"  {deviation} ({count} times)"
