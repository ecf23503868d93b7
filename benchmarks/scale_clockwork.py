"""The statements of the clockwork and the housekeeping, which come again every minute whatever there is to do.

What only a person asks for is not here: `ringvault verify` counts and samples all that is stored, `replay` and
`rebuild` read all of their span.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.scale_statements import ACCOUNT, BLOCKS, PAGE, Measured
from common.database.statements import statements
from services.downloader.journal_archive import CLOSED_AFTER
from services.downloader.sidecars import AT_ONCE
from services.poller.guard_outages import ALONE_AFTER, LOOK_BACK, SILENT_AFTER, TOGETHER
from services.poller.insights_fetch import BATCH, PLANNED
from services.poller.insights_schedule import EXPECTED_WITHIN, LOOK_WITHIN
from services.poller.missed_calls import AFTER_A_POLL

#: Before any row.
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
#: Recordings of a page whose schedule was used up: one in two hundred.
_GIVEN_UP: Final = 2
#: Objects of a page of a verification, and events of a page of a piece of the journal.
_VERIFIED, _ARCHIVED = 100, 50


def of_the_clockwork(ids: list[str], now: datetime) -> list[Measured]:
    """What the poller's leader and the housekeeping do; `ids` are recordings."""
    return [*_insights(now), *_call_log(ids, now), *_housekeeping(now)]


def _insights(now: datetime) -> list[Measured]:
    insights, subscriptions = statements("recordings_insights"), statements("subscriptions")
    silent = (ACCOUNT, ["pbx"], now - SILENT_AFTER, now - LOOK_BACK, now - ALONE_AFTER)
    dark = (ACCOUNT, now - timedelta(hours=2), now, now, TOGETHER)
    return [
        Measured("insights: plan which", insights["unplanned"], (ACCOUNT, EXPECTED_WITHIN, PLANNED)),
        Measured("insights: plan a last look", insights["unlooked"], (ACCOUNT, now - LOOK_WITHIN, PLANNED)),
        Measured("insights: due", insights["due"], (ACCOUNT, now, EXPECTED_WITHIN, BATCH)),
        # For each outage: once for so many rows as began in it.
        Measured("insights: after an outage", insights["fall_due"], dark, report=True),
        Measured("guard: look for silence", subscriptions["fall_silent"], silent),
    ]


def _call_log(ids: list[str], now: datetime) -> list[Measured]:
    unknown, readings = statements("recordings_unknown"), statements("call_log_readings")
    calls = [f"c{int(name) - 100_000_000_000}" for name in ids]
    month = (ACCOUNT, now - timedelta(days=30), now)
    return [
        Measured("missed calls: any", unknown["waits"], (ACCOUNT, now - timedelta(minutes=10))),
        # As mostly: nothing is to be asked for, beside what was given up.
        Measured("missed calls: which", unknown["missed"], (ACCOUNT, now - 4 * _DAY, now, AFTER_A_POLL)),
        Measured("reading: find", readings["find"], (ACCOUNT, "recent", None, None)),
        Measured("reading: known calls", readings["known_calls"], (ACCOUNT, calls)),
        Measured("reading: known recordings", readings["known_recordings"], (ACCOUNT, "pbx", ids)),
        Measured("reading: try again", readings["try_again"], (ACCOUNT, "pbx", ids[:_GIVEN_UP], now, 2, ["failed"])),
        Measured("backfill: how far", readings["waiting"], month, report=True),
        Measured("backfill: bytes a second", readings["bytes_per_second"], (ACCOUNT,)),
    ]


def _housekeeping(now: datetime) -> list[Measured]:
    verification, archives = statements("verification"), statements("journal_archives")
    begin = (now - 10 * _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    page = (ACCOUNT, begin, begin + _DAY, begin, b"", _ARCHIVED)
    looked = (ACCOUNT, now - 7 * _DAY, _EVER, now - 200 * _DAY, "", "", _VERIFIED)
    return [
        Measured("sidecars: which", statements("sidecars")["due"], (AT_ONCE,)),
        Measured("left uploads: which", statements("left_uploads")["due"], (ACCOUNT,)),
        Measured("verify: which", verification["next"], looked),
        Measured("archive: oldest day", archives["oldest_unarchived"], (now - CLOSED_AFTER,)),
        Measured("archive: page of a day", archives["page"], page),
        Measured("archive: oldest to forget", archives["forgettable_day"], (now - 30 * _DAY,)),
        Measured("journal: page", statements("insight_events")["page"], (begin, now, begin, b"", None, PAGE)),
        Measured("list: of a day", BLOCKS["list_of_a_day"], (ACCOUNT, now - 2 * _DAY)),
    ]
