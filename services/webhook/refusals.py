"""Refusals in the log: the first of each kind, then at most one line a minute, so that a flood cannot fill a disk."""

from typing import Final

import structlog

from services.webhook.answers import Outcome

#: Seconds between two lines of one kind: a misconfiguration shows at once, a flood is a line a minute.
_EVERY: Final = 60.0


class Refusals:
    """Counts refusals and logs some of them, with how many there were since the line before."""

    def __init__(self) -> None:
        self._counts: dict[Outcome, int] = {}
        self._logged_at: dict[Outcome, float] = {}

    def note(self, outcome: Outcome, now: float) -> None:
        """Count a refusal at `now` (seconds of any steady clock), and log it when it is time."""
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        if now - self._logged_at.get(outcome, -_EVERY) >= _EVERY:
            structlog.get_logger().info("requests_refused", outcome=outcome.value, count=self._counts.pop(outcome))
            self._logged_at[outcome] = now
