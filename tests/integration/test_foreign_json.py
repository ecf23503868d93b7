"""Whatever RingCentral might say ends in rows, in an error on its row, or in a refusal in words: never in a fault."""

import json
import re
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.clock import SystemClock
from common.database.pool import Pool
from common.messages import InsightsReceived
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import RingCentralError
from common.telemetry.health import Work
from services.insights.handle import handle
from services.poller.leadership import Leadership
from services.poller.poll import poll

EVENT = "/ai/ringsense/v1/public/accounts/42/domains/pbx/insights"
#: Every character that JSON can hold: NUL and half a surrogate pair too.
TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=6)
TIMES = st.sampled_from(
    [
        "2026-03-01T10:00:00.000Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "2026-02-30T10:00:00Z",
        "2026",
        "",
    ]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 2**63 - 1, 10**400, 1e308, True, False])


LEAVES = st.none() | NUMBERS | TEXT | TIMES
DEPTHS = st.sampled_from([90, 101, 200, 250, 300, 340, 400, 480, 600, 900]).map("@nested {}".format)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ANY = VALUES | DEPTHS | st.just("x" * 10_000)


def objects(*names: str, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects in which each of these keys is there or not, and holds what it usually holds, or anything."""
    return st.fixed_dictionaries({}, optional={name: known.get(name, ANY) | ANY for name in (*names, *known)})


IDS = st.sampled_from(["1", "2", 3])
RECORDINGS = objects("type", "contentUri", id=IDS)
PLACES = objects(
    "from", "to", "extension", "duration", "durationMs", "direction", "telephonySessionId", startTime=TIMES,
    recording=RECORDINGS,
)  # fmt: skip
RECORDS = st.builds(
    lambda place, more: {"id": "1"} | place | more,
    PLACES,
    objects("sessionId", "deleted", id=IDS, lastModifiedTime=TIMES, legs=st.lists(PLACES | ANY, max_size=2)),
)
PAGES = objects(
    "navigation",
    records=st.lists(RECORDS | ANY, max_size=3),
    syncInfo=st.builds(
        lambda info, token: {"syncToken": token} | info,
        objects("newerRecordsExist", syncTime=TIMES, syncToken=TEXT),
        st.just("token"),
    ),
)
BODIES = objects(
    "domain", "sourceSessionId", "title", "callDirection", "ownerExtensionId", "recordingDurationMs",
    sourceRecordId=IDS, recordingStartTime=TIMES, lastModifiedTime=TIMES,
    speakerInfo=st.lists(objects("extensionId", "name", "phoneNumber") | ANY, max_size=3),
    insights=st.dictionaries(st.sampled_from(["Summary", "HighLights", "Highlights", "CallNotes"]) | TEXT, ANY),
)  # fmt: skip
EVENTS = objects("uuid", "timestamp", "ownerId", event=st.just(EVENT), body=BODIES) | ANY

#: Each example is a transaction or two: some seconds a test. With a hundred times as many nothing more was found.
FUZZED = settings(max_examples=60)


class Saying:
    """The client, as far as a poll asks it, that has one answer and nothing after that."""

    account_id = "42"
    credentials = ("credential",)

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def json(self, _ask: Ask) -> Any:
        return self._answers.pop(0) if self._answers else {"syncInfo": {"syncToken": "last"}}


def as_sent(value: Any) -> str:
    """The JSON that travels. "@nested 300" is so many lists in each other, which hypothesis could not print."""
    return re.sub(r'"@nested (\d+)"', lambda depth: "[" * int(depth[1]) + "]" * int(depth[1]), json.dumps(value))


@FUZZED
@given(st.lists(PAGES, min_size=1, max_size=2))
@example([{"records": [{"id": "1", "legs": "@nested 300"}], "syncInfo": {"syncToken": "t"}}])
@example([{"records": [], "syncInfo": {"syncToken": "\ud800"}}])
@example([{"records": [], "syncInfo": {"syncToken": "t\x00"}}])
@example([{"records": [], "syncInfo": {"syncToken": "t", "syncTime": "0001-01-01T00:00:00Z"}}])
async def test_any_page_of_the_call_log_is_read_or_refused_and_the_next_poll_goes_on(
    pool: Pool, leadership: Leadership, pages: list[Any]
) -> None:
    assert await leadership.lease.hold(pool, 60) == leadership.fencing  # however long the examples before took
    for page in [*pages, {"records": [{"id": "the next"}], "syncInfo": {"syncToken": "next"}}]:
        client = cast("RingCentral", Saying(json.loads(as_sent(page))))
        refused = None
        try:
            await poll(client, pool, SystemClock(), leadership)
        except RingCentralError as error:
            refused = str(error)
        assert refused is None or "no usable syncToken" in refused
    assert await pool.fetchval("SELECT count(*) FROM calls WHERE call_log_id = 'the next'") == 1


@FUZZED
@given(st.lists(EVENTS, min_size=1, max_size=3))
@example([{"event": EVENT, "body": {"sourceRecordId": "1", "insights": {"Summary": "@nested 300"}}}])
@example([{"event": EVENT, "body": {"sourceRecordId": "1", "insights": {"Summary": "@nested 480"}}}])
@example([{"event": EVENT, "uuid": "x" * 10_000, "body": {"sourceRecordId": "x" * 10_000}}])
async def test_any_event_is_journaled_and_merged_or_has_its_error(pool: Pool, events: list[Any]) -> None:
    for event in events:
        raw = as_sent(event).encode()

        await handle(pool, SystemClock(), [InsightsReceived(raw, "42", datetime.now(UTC))], Work())

        [row] = await pool.fetch("SELECT * FROM insight_events WHERE raw = $1", raw)
        assert row["error"] is not None or row["applied_at"] is not None
