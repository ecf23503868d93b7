"""The load: calls that are made every second, with their recordings and events, as the seed says."""

import threading
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from demo.pipeline import Pipeline

#: Seconds between two orders.
_EVERY: Final = 0.5
#: Of so many orders one is a recording that S3 gets in two parts: one comes every four seconds and takes longer, so
#: that every fault meets a transfer in the middle.
_LARGE_EVERY: Final = 8
#: Bytes of such a recording: more than one part of 5 MiB, little beside what the disks hold.
_LARGE: Final = 8_000_000
#: Bytes a second of each transfer of audio, and on how many: a line as good as people have, for all of them.
_PACE: Final = {"endpoint": "recording.content", "kind": "slow", "bytes_per_second": 1_500_000, "times": 1_000_000}
#: Seconds in which an order must have been carried out when the load stops; longer than anything is frozen.
_STOP_WITHIN: Final = 90.0


class Load:
    """Orders calls in a thread of its own, from `start` to `stop`; both may be called again and again."""

    def __init__(self, pipeline: Pipeline, chance: Random) -> None:
        #: Every recording that was ordered since `start`.
        self.recordings: list[str] = []
        self._pipeline, self._chance = pipeline, chance
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: Exception | None = None
        self._orders = 0
        pipeline.ask_simulator("/simulator/faults", _PACE)

    def start(self) -> None:
        """Begin; what was ordered before is forgotten."""
        self.recordings = []
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and raise what went wrong with an order."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_WITHIN)
            self._thread = None
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stop.wait(_EVERY):
                self._order()
        except Exception as error:  # noqa: BLE001 - raised in the thread that stops the load.
            self._fault = error

    def _order(self) -> None:
        self._orders += 1
        large = self._orders % _LARGE_EVERY == 0
        path = "/simulator/recordings" if large else "/simulator/calls"
        answer = self._pipeline.ask_simulator(path, {"bytes": _LARGE} if large else _call(self._chance))
        self.recordings += [recording for call in answer["calls"] for recording in call["recordings"]]


def _call(chance: Random) -> Mapping[str, Any]:
    """One call of half a minute; listed within half a second, its audio ready before that, its insights within two."""
    return {
        "seconds": chance.randint(10, 40),
        "appears_after": chance.randint(10, 30),
        "audio_after": 5,
        "notes_after": chance.choice([None, 30]),
        "insights_after": chance.randint(20, 120),
        "wav": chance.random() < 0.1,
        "transfer": chance.random() < 0.1,
        "second_recording": chance.random() < 0.1,
    }
