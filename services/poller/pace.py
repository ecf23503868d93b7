"""How long to pause between two polls: little while calls come in, up to `POLL_INTERVAL` when nothing happens. Pure."""

from typing import Final

#: Share of the heavy budget that polls may take; the rest is for audio. At ten requests a minute: a poll in 30 s.
SHARE: Final = 0.2
#: Seconds below which no pause goes, however large the budget: a call takes longer than that to appear (facts 4.3).
SHORTEST: Final = 0.5


def next_pause(*, read: int, last: float, rate: float, longest: float) -> float:
    """Seconds until the next poll.

    `read`: records that the last poll brought; `last`: the pause before it; `rate`: heavy requests a second. Each poll
    that brings nothing doubles the pause, so a call is seen after at most as long as there was none before.
    """
    busy = max(SHORTEST, 1 / (SHARE * rate))
    return min(longest, busy if read else max(busy, 2 * last))
