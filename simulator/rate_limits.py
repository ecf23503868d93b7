"""The request budget: per user, app and group, a sliding window, and a penalty that every request restarts (facts 6).

Kept in real seconds, divided by the speed: advancing the business clock does not give anybody new budget.

Refusals are told apart: over the limit and later during a penalty are the client's doing; those that were on the wire
when a 429 was answered are nobody's.
"""

from collections import deque
from dataclasses import dataclass, field

#: requests per window (facts 6).
LIMITS = {"light": 50, "medium": 40, "heavy": 10, "auth": 5}
#: business seconds of the sliding window.
WINDOW_SECONDS = 60.0
#: business seconds of the penalty after a refusal.
PENALTY_SECONDS = 60.0
#: real seconds after a 429 was answered in which an arriving request counts as sent before the client knew.
ON_THE_WIRE_SECONDS = 0.05

Key = tuple[str, str, str]


@dataclass
class Closure:
    """A time in which requests are refused, and what arrived in it."""

    until: float = float("-inf")
    on_the_wire: int = 0
    later: int = 0
    _answered_at: float | None = None

    def begin(self, until: float) -> None:
        """Closes; the 429 that says so has not been answered yet."""
        self.until, self._answered_at = until, None

    def refuse(self, arrival: float) -> None:
        """Counts a request that arrived while closed."""
        if self._answered_at is None or arrival <= self._answered_at + ON_THE_WIRE_SECONDS:
            self.on_the_wire += 1
        else:
            self.later += 1

    def answered(self, now: float) -> None:
        """A 429 was answered: from now on clients can know; only the first one counts."""
        if self._answered_at is None:
            self._answered_at = now


@dataclass
class Bucket:
    """One user's budget in one group. ``arrivals`` of all requests, granted or not, are kept for good: only they tell
    what a client asked for; of the granted ones no window ever holds more than the limit.
    """

    limit: int
    window: float
    penalty: float
    recent: deque[float] = field(default_factory=deque)
    arrivals: list[float] = field(default_factory=list)
    granted: int = 0
    refused: int = 0
    over_limit: int = 0
    closure: Closure = field(default_factory=Closure)

    def admit(self, now: float) -> bool:
        """Grants or refuses one request; a refusal, also one during the penalty, starts the penalty anew."""
        self.arrivals.append(now)
        granted = self._grant(now)
        self.granted += granted
        self.refused += not granted
        return granted

    def _grant(self, now: float) -> bool:
        while self.recent and self.recent[0] <= now - self.window:
            self.recent.popleft()
        if now < self.closure.until:
            self.closure.refuse(now)
            self.closure.until = now + self.penalty
            return False
        if len(self.recent) >= self.limit:
            self.over_limit += 1
            self.penalise(now)
            return False
        self.recent.append(now)
        return True

    def penalise(self, now: float) -> None:
        """Closes the group for the penalty."""
        self.closure.begin(now + self.penalty)

    @property
    def remaining(self) -> int:
        return max(0, self.limit - len(self.recent))

    def most_in_a_window(self) -> int:
        return most_in_a_window(self.arrivals, self.window)


def most_in_a_window(arrivals: list[float], window: float) -> int:
    """The greatest number of requests that arrived in any window of that length."""
    most, first = 0, 0
    for last, arrival in enumerate(arrivals):
        while arrivals[first] <= arrival - window:
            first += 1
        most = max(most, last - first + 1)
    return most


class RateLimits:
    """All buckets. Limits can be changed while running: they apply from the next request on.

    ``everything`` is the limiter of the whole service: while it is closed nobody gets anything.
    """

    def __init__(self, *, speed: float) -> None:
        self._window = WINDOW_SECONDS / speed
        self._penalty = PENALTY_SECONDS / speed
        self.limits = dict(LIMITS)
        self.buckets: dict[Key, Bucket] = {}
        self.everything = Closure()

    def bucket(self, user: str, app: str, group: str) -> Bucket:
        key = (user, app, group)
        if key not in self.buckets:
            self.buckets[key] = Bucket(self.limits[group], self._window, self._penalty)
        return self.buckets[key]

    def set_limits(self, limits: dict[str, int]) -> None:
        self.limits.update(limits)
        for (_, _, group), bucket in self.buckets.items():
            bucket.limit = self.limits[group]

    def refusals(self) -> dict[str, int]:
        """How many were refused, and how many of those for which reason."""
        buckets = self.buckets.values()
        over_limit = sum(bucket.over_limit for bucket in buckets)
        on_the_wire = self.everything.on_the_wire + sum(bucket.closure.on_the_wire for bucket in buckets)
        later = self.everything.later + sum(bucket.closure.later for bucket in buckets)
        return {
            "refused": over_limit + on_the_wire + later,
            "refused_over_limit": over_limit,
            "refused_on_the_wire": on_the_wire,
            "refused_later": later,
        }

    def report(self) -> list[dict[str, object]]:
        return [
            {
                "user": user,
                "app": app,
                "group": group,
                "limit": bucket.limit,
                "window_seconds": bucket.window,
                "granted": bucket.granted,
                "refused": bucket.refused,
                "refused_over_limit": bucket.over_limit,
                "refused_on_the_wire": bucket.closure.on_the_wire,
                "refused_later": bucket.closure.later,
                "most_in_a_window": bucket.most_in_a_window(),
            }
            for (user, app, group), bucket in sorted(self.buckets.items())
        ]
