"""How long to pause between two polls: little while calls come in, up to `POLL_INTERVAL` when nothing happens. Pure."""

import math
from typing import Final

from common.ringcentral.call_log import PAGE

#: Share of the heavy budget that polls may take; the rest is for audio. At ten requests a minute: a poll in 30 s.
SHARE: Final = 0.2
#: Seconds below which no pause goes, however large the budget: a call takes longer than that to appear (facts 4.3).
SHORTEST: Final = 0.5


def next_pause(*, read: int, last: float, rate: float, longest: float) -> float:
    """Seconds until the next poll.

    `read`: records that the last poll brought; `last`: the pause before it; `rate`: heavy requests a second. Each poll
    that brings nothing doubles the pause, so a call is seen after at most as long as there was none before.
    """
    busy = shortest_pause(read=read, rate=rate)
    return min(longest, busy if read else max(busy, 2 * last))


def shortest_pause(*, read: int, rate: float) -> float:
    """Seconds after a poll that brought so many records, so that polls stay within their share of the budget."""
    requests = max(1, math.ceil(read / PAGE))
    return max(SHORTEST, requests / (SHARE * rate))
