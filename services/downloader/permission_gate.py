"""The gate for a permission: after RingCentral has named one that is missing, it is asked for audio once an hour.

Each refusal costs a heavy request, of ten a minute, and a thousand rows would each ask, again and again, until a person
grants it. A refusal that names no permission may be that of one recording, and shuts nothing. So may one that names it,
of a user who may hear others: only those of some recordings in a row shut it. One that was refused alike before says
nothing of others, neither in that row nor as a probe: those of one extension fall due together.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from common.ringcentral.errors import Forbidden

#: Seconds between two probes of one process, as a row that was refused waits: a person must act meanwhile.
_PROBE_EVERY: Final = 3600.0
#: Refusals in a row that are no longer of single recordings: a minute's budget of one user (facts 6).
_IN_A_ROW: Final = 10


class PermissionMissing(Exception):
    """RingCentral was not asked, because it refuses everything alike just now; the sentence ends with its refusal."""


class PermissionGate:
    """One for each process."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._again_at = 0.0
        self._probing = False
        #: Refusals until it shuts.
        self._left = _IN_A_ROW

    @contextmanager
    def passing(self, before: str | None) -> Iterator[None]:
        """Around a request for audio, which is the probe when its time has come; raises `PermissionMissing`.

        `before` is why there is no audio of this recording yet.
        """
        if self._reason is None:
            with self._learning(before):
                yield
            return
        if self._probing or time.monotonic() < self._again_at:
            # One that was refused alike itself is to be known as such when it falls due again.
            told = self._reason if before == self._reason else f"not asked for, as others are refused: {self._reason}"
            raise PermissionMissing(told)
        self._probing = True  # one alone; any other end than an answer leaves the probe to the next.
        try:
            with self._learning(before):
                yield
        finally:
            self._probing = False

    @contextmanager
    def _learning(self, before: str | None) -> Iterator[None]:
        try:
            yield
        except Forbidden as error:
            if error.of_user and str(error) == before:
                raise
            if error.permission:
                self._left -= 1
            if not error.of_user or (error.permission and self._left <= 0):
                self._reason, self._again_at = str(error), time.monotonic() + _PROBE_EVERY
                structlog.get_logger().warning("permission_missing", reason=self._reason)
            raise
        self._left = _IN_A_ROW
        if self._reason is not None:
            self._reason = None
            structlog.get_logger().info("permission_granted")
