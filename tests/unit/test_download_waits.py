"""Whose time an attempt took, by a clock that a test moves."""

from contextlib import suppress

import pytest

from common.ringcentral.errors import SourceFailed
from common.storage.interface import StorageError
from services.downloader.waits import Waits, What


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_wait_within_another_counts_for_the_inner_one_alone() -> None:
    clock = Clock()
    waits = Waits(clock)

    clock.time += 100  # for nothing of these.
    with waits.on("storage"):
        clock.time += 5
        with waits.on("source"):
            clock.time += 600
            with waits.on("budget"):
                clock.time += 50
            clock.time += 7
        clock.time += 10
    clock.time += 100

    fault = waits.too_long(900)
    assert isinstance(fault, SourceFailed)
    assert str(fault) == (
        "the attempt was not done in 900 s: it waited 607 s for RingCentral's audio, "
        "50 s for permission to ask RingCentral, and its answer, 15 s for the storage"
    )


def test_a_wait_that_ends_in_an_error_counts_as_well() -> None:
    clock = Clock()
    waits = Waits(clock)

    with suppress(TimeoutError), waits.on("storage"):
        clock.time += 9
        raise TimeoutError

    assert "9 s for the storage" in str(waits.too_long(10))


@pytest.mark.parametrize(
    ("what", "kind"), [("storage", StorageError), ("source", SourceFailed), ("budget", SourceFailed)]
)
def test_the_fault_is_of_whoever_took_most(what: What, kind: type[Exception]) -> None:
    clock = Clock()
    waits = Waits(clock)

    for other in ("storage", "source", "budget"):
        with waits.on(other):
            clock.time += 10 if other == what else 9

    assert type(waits.too_long(28)) is kind
