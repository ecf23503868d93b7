"""What is checked, and what a check finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The `User-Agent` of requests made here, by hand, and of those that are wrong on purpose: only their answers count.
BY_HAND: Final = "conformance"
WRONG_ON_PURPOSE: Final = "conformance, wrong on purpose"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer. `path` is as it was sent, with percent signs; header names have any case.

    The body of audio is left out: it has no schema.
    """

    method: str
    path: str
    query: str
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def sender(self) -> str:
        """Who sent it, in a word: `ringvault` for our own client."""
        agent = self.request_headers.get("User-Agent", "nobody")
        if "RCPYTHONSDK" in agent:
            return "the official SDK"
        return "ringvault" if agent.startswith("ringvault") else agent


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in one value. `place` is a path in it, `*` for every position; `rule` the keyword it breaks."""

    place: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, order=True)
class Deviation:
    """What is wrong in an exchange: in the request or answer of an operation, where, and which rule it breaks."""

    operation: str
    where: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.where}: {self.rule}: {self.detail}"
