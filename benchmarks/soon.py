"""`make bench-soon`: how long after RingCentral has a recording is it stored, by the real product at its real pace.

A company that calls a little less than the budget allows: ten heavy requests a minute, of which polls take two.
Business time goes ten times as fast as ours, so what we do in real seconds counts tenfold: the second between two
looks for due rows, and the half minute until audio that was not ready is asked for again. The figures are an upper
bound. A recording counts from the moment at which the call log shows it and its audio can be had, whichever is later.
Exits 1 when the median is above a minute, the product's goal.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from common.database.pool import Pool, open_pool
from demo.pipeline import SERVICES, Pipeline

#: Business seconds in one of ours.
SPEED: Final = 10
#: 100 recordings in 25 minutes are four a minute; the budget has eight beside the polls.
COMPANY: Final = {"recordings": 100, "span": 1500, "history": 1800, "speed": SPEED, "begin_with_subscription": True}
#: The product's goal in business seconds: "stored in less than a minute at the median".
GOAL: Final = 60.0
#: Seconds in which all must be stored: the company's half hour at its speed, twice.
WITHIN: Final = 2 * 1800 / SPEED
_STORED: Final = "SELECT source_record_id, audio_stored_at FROM recordings WHERE audio_state = 'stored'"


def main() -> int:
    """Run the company once, and print how soon its recordings were stored."""
    with tempfile.TemporaryDirectory(prefix="ringvault-soon-") as folder, Pipeline(Path(folder)) as pipeline:
        pipeline.settings["POLL_INTERVAL"] = str(300 / SPEED)
        pipeline.migrate()
        pipeline.start_simulator(**COMPANY)
        pipeline.start_all(*SERVICES)
        delays = asyncio.run(_delays(pipeline))
        refused = pipeline.ask_simulator("/simulator/counts")["refused"]
    tenths = statistics.quantiles(delays, n=10)
    print(
        f"{len(delays)} recordings, from the moment that RingCentral has them until they are stored, business seconds:"
    )
    print(f"  median {statistics.median(delays):.0f}, 9 of 10 within {tenths[-1]:.0f}, last {max(delays):.0f}")
    print(f"  goal: median below {GOAL:.0f}; requests refused: {refused}")
    return 0 if statistics.median(delays) < GOAL and refused == 0 else 1


async def _delays(pipeline: Pipeline) -> list[float]:
    async with open_pool(pipeline.environment["DATABASE_URL"], "benchmark", size=1) as pool:
        deadline = time.monotonic() + WITHIN
        while len(await _stored(pool)) < COMPANY["recordings"]:
            if time.monotonic() > deadline:
                sys.exit(f"not all recordings were stored within {WITHIN:.0f} s")
            await asyncio.sleep(1)
        stored = await _stored(pool)
    truth = pipeline.ask_simulator("/simulator/truth")
    began = time.time() - truth["now"] / SPEED
    return [_delay(one, stored[one["id"]], began) for one in truth["recordings"]]


async def _stored(pool: Pool) -> dict[str, datetime]:
    rows: Sequence[Any] = await pool.fetch(_STORED)
    return {row["source_record_id"]: row["audio_stored_at"] for row in rows}


def _delay(recording: dict[str, Any], stored_at: datetime, began: float) -> float:
    """Business seconds between the later of "listed" and "ready" and the moment of being stored."""
    moments = [datetime.fromisoformat(recording[name]).timestamp() for name in ("listed_at", "ready_at")]
    return (stored_at.timestamp() - began) * SPEED - max(moments)


if __name__ == "__main__":
    sys.exit(main())
