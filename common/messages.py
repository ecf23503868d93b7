"""What travels: frozen messages, each with its kind, version and queue. This file imports nothing of ours.

An event is past tense, a job imperative. Readers ignore what they do not know; a breaking change is a new class with
the next version, never an edit, and the golden files under `tests/contract/messages/` keep every version readable.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Protocol, Self, TypeVar


class NotDecodable(Exception):
    """A message that this version cannot read; the text says why, without repeating what the message holds."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A message as the broker and the spool hold it: headers of plain text and a body of bytes."""

    headers: Mapping[str, str]
    body: bytes


class Message(Protocol):
    """What every message can do."""

    QUEUE: ClassVar[str]

    def to_wire(self) -> Wire:
        """The message as it travels."""

    @classmethod
    def from_wire(cls, wire: Wire) -> Self:
        """The message read back; raises `NotDecodable`."""


M = TypeVar("M", bound=Message)

KIND: Final = "kind"
VERSION: Final = "version"
#: What Postgres holds in no text: U+0000, and surrogates without their other half.
_IN_NO_ROW: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class InsightsReceived:
    """RingCentral sent an insights event. `raw` is the request's body, byte for byte."""

    QUEUE: ClassVar[str] = "insights.received"

    raw: bytes
    account_id: str
    received_at: datetime

    def to_wire(self) -> Wire:
        """The event's bytes as the body, everything else as headers."""
        headers = {
            KIND: self.QUEUE,
            VERSION: "1",
            "account_id": self.account_id,
            "received_at": self.received_at.isoformat(),
        }
        return Wire(headers, self.raw)

    @classmethod
    def from_wire(cls, wire: Wire) -> Self:
        """The event read back; raises `NotDecodable`."""
        _expect(wire, cls.QUEUE, "1")
        try:
            received_at = datetime.fromisoformat(wire.headers["received_at"])
            account_id = wire.headers["account_id"]
        except (KeyError, ValueError):
            raise NotDecodable("the header received_at or account_id is missing or malformed") from None
        if received_at.tzinfo is None or not account_id or _IN_NO_ROW.search(account_id):
            raise NotDecodable("the header received_at has no time zone, or account_id is empty or no text")
        return cls(raw=wire.body, account_id=account_id, received_at=received_at)


@dataclass(frozen=True, slots=True)
class DownloadRecording:
    """Fetch the audio of one recording, if its row still wants it: the row is the truth, this is a nudge."""

    QUEUE: ClassVar[str] = "recordings.download"

    account_id: str
    domain: str
    source_record_id: str

    def to_wire(self) -> Wire:
        """The key of the row as JSON."""
        key = {"account_id": self.account_id, "domain": self.domain, "source_record_id": self.source_record_id}
        return Wire({KIND: self.QUEUE, VERSION: "1"}, json.dumps(key).encode())

    @classmethod
    def from_wire(cls, wire: Wire) -> Self:
        """The job read back; raises `NotDecodable`."""
        _expect(wire, cls.QUEUE, "1")
        try:
            key = json.loads(wire.body)
            parts = [key["account_id"], key["domain"], key["source_record_id"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotDecodable("the body is not a JSON object with the key of a recording") from None
        if not all(isinstance(part, str) and part for part in parts):
            raise NotDecodable("the key of the recording is not made of text")
        if any(_IN_NO_ROW.search(part) for part in parts):
            raise NotDecodable("the key of the recording is one that no row can have")
        return cls(*parts)


def _expect(wire: Wire, kind: str, version: str) -> None:
    if wire.headers.get(KIND) != kind:
        raise NotDecodable(f"it is not of the kind {kind}")
    if wire.headers.get(VERSION) != version:
        raise NotDecodable(f"it is of a version of {kind} that this process does not know")
