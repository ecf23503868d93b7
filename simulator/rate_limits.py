"""The request budget: per user, app and group, a sliding window, and a penalty that every request restarts (facts 6).

Kept in real seconds, divided by the speed: advancing the business clock does not give anybody new budget.
"""

from collections import deque
from dataclasses import dataclass, field

#: requests per window (facts 6).
LIMITS = {"light": 50, "medium": 40, "heavy": 10, "auth": 5}
#: business seconds of the sliding window.
WINDOW_SECONDS = 60.0
#: business seconds of the penalty after a refusal.
PENALTY_SECONDS = 60.0

Key = tuple[str, str, str]


@dataclass
class Bucket:
    """One user's budget in one group. ``arrivals`` of granted requests are kept for good, for tests to look at."""

    limit: int
    window: float
    penalty: float
    recent: deque[float] = field(default_factory=deque)
    arrivals: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    closed_until: float = float("-inf")

    def admit(self, now: float) -> bool:
        """Grants or refuses one request; a refusal, also one during the penalty, starts the penalty anew."""
        while self.recent and self.recent[0] <= now - self.window:
            self.recent.popleft()
        if now < self.closed_until or len(self.recent) >= self.limit:
            self.closed_until = now + self.penalty
            self.refusals.append(now)
            return False
        self.recent.append(now)
        self.arrivals.append(now)
        return True

    @property
    def remaining(self) -> int:
        return max(0, self.limit - len(self.recent))

    def most_in_a_window(self) -> int:
        return most_in_a_window(self.arrivals, self.window)


def most_in_a_window(arrivals: list[float], window: float) -> int:
    """The greatest number of granted requests that any window of that length held."""
    most, first = 0, 0
    for last, arrival in enumerate(arrivals):
        while arrivals[first] <= arrival - window:
            first += 1
        most = max(most, last - first + 1)
    return most


class RateLimits:
    """All buckets. Limits can be changed while running: they apply from the next request on."""

    def __init__(self, *, speed: float) -> None:
        self._window = WINDOW_SECONDS / speed
        self._penalty = PENALTY_SECONDS / speed
        self.limits = dict(LIMITS)
        self.buckets: dict[Key, Bucket] = {}

    def bucket(self, user: str, app: str, group: str) -> Bucket:
        key = (user, app, group)
        if key not in self.buckets:
            self.buckets[key] = Bucket(self.limits[group], self._window, self._penalty)
        return self.buckets[key]

    def set_limits(self, limits: dict[str, int]) -> None:
        self.limits.update(limits)
        for (_, _, group), bucket in self.buckets.items():
            bucket.limit = self.limits[group]

    def report(self) -> list[dict[str, object]]:
        return [
            {
                "user": user,
                "app": app,
                "group": group,
                "limit": bucket.limit,
                "window_seconds": bucket.window,
                "granted": len(bucket.arrivals),
                "refused": len(bucket.refusals),
                "most_in_a_window": bucket.most_in_a_window(),
            }
            for (user, app, group), bucket in sorted(self.buckets.items())
        ]
