"""The statements whose cost must not depend on how many recordings there are, with values as the services give them."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from common.database.loss_clock import RANKS, read_loss_clock
from common.database.pool import Pool
from common.database.statements import blocks_of, statements
from common.loss_clock import Retention
from common.ringcentral.budget import DEFAULT_RATE

BLOCKS: Final = blocks_of(Path(__file__).with_name("scale.sql").read_text(encoding="utf-8"))
#: Records of a page of the call log, and of a batch of events.
PAGE: Final = 250
#: Jobs that are announced together, as the poller does.
TOGETHER: Final = 20
#: Seconds that a claim holds for all statements that need one: longer than the benchmark.
_FOR_LONG: Final = 86_400.0
RETENTIONS: Final = (
    Retention("automatic", timedelta(days=90), 100_000),
    Retention("on_demand", timedelta(days=90), 200),
)
ACCOUNT: Final = "42"


@dataclass(frozen=True, slots=True)
class Measured:
    """One statement. `report`: it counts what there is, so it may grow, up to a second."""

    name: str
    sql: str
    values: tuple[Any, ...]
    report: bool = False


def ids_of(rows: int) -> list[str]:
    """A page of recordings from the middle."""
    return [str(100_000_000_000 + rows // 2 + number) for number in range(PAGE)]


async def measured(pool: Pool, rows: int, now: datetime) -> list[Measured]:
    """Those of the pipeline and of lists, for a database with so many recordings."""
    recordings, calls, ids = statements("recordings"), statements("calls"), ids_of(rows)
    fresh = [str(900_000_000_000 + number) for number in range(PAGE)]
    domains = ["pbx"] * PAGE
    one, other = [(ACCOUNT, "pbx", row["source_record_id"]) for row in await pool.fetch(BLOCKS["two_pending"])]
    taken = uuid.uuid4()
    await pool.execute(recordings["claim"], *other, taken, _FOR_LONG, now)
    old = now - timedelta(minutes=20)
    return [
        Measured("poll: find the cursor", statements("call_log_cursors")["find"], (ACCOUNT,)),
        Measured("poll: write calls", calls["write"], (ACCOUNT, _calls(rows, now), now)),
        Measured("poll: ensure new rows", recordings["ensure"], (ACCOUNT, domains, fresh, now)),
        Measured("poll: lock rows", recordings["lock"], (ACCOUNT, domains, ids)),
        Measured("poll: write rows", recordings["write"], (ACCOUNT, [_row(name, now) for name in ids], now, 1)),
        Measured("announce: count", recordings["count_announced"], (ACCOUNT, old, now)),
        Measured("announce: mark", recordings["announce"], await _announce(pool, now, old)),
        Measured("announce: withdraw", recordings["withdraw"], (ACCOUNT, domains[:TOGETHER], ids[:TOGETHER])),
        Measured("claim", recordings["claim"], (*one, uuid.uuid4(), 60.0, now)),
        Measured("claim: renew", recordings["renew_claim"], (*other, taken, 60.0)),
        Measured("claim: postpone", recordings["postpone"], (*other, now)),
        Measured("claim: store", recordings["store"], (*other, taken, 1, "audio/mpeg", "0" * 64, now, 1000, False)),
        Measured(
            "claim: retry later",
            recordings["retry_later"],
            (*other, taken, "no answer", now, now, {"source_failed": 1}),
        ),
        Measured("audio: bring forward", recordings["bring_forward"], (ACCOUNT, domains, ids, now)),
        *_journal(now, ids),
        Measured("list: latest", BLOCKS["list_latest"], (ACCOUNT, now - timedelta(days=30))),
        Measured("list: of an extension", BLOCKS["list_of_an_extension"], (ACCOUNT, now, "7042")),
        Measured("list: failed", BLOCKS["list_not_stored"], (ACCOUNT, now, "failed")),
        Measured("list: of a session", BLOCKS["list_of_a_session"], (ACCOUNT, _session(rows // 2))),
        *_reports(now),
    ]


def _reports(now: datetime) -> list[Measured]:
    month, today = (now - timedelta(days=30)).date(), now.date()
    clock, ledger = statements("loss_clock"), statements("ledger")
    return [
        Measured("ledger of a month", ledger["read"], (ACCOUNT, month, today, now, 7), report=True),
        Measured("ledger: sums of a week", ledger["sums"], (ACCOUNT, now, 7), report=True),
        *(
            Measured(f"loss clock: ranks, {one.retention_type}", clock["ranks"], _ranks(one, now), report=True)
            for one in RETENTIONS
        ),
        Measured("loss clock: lately", clock["lately"], (ACCOUNT, now), report=True),
        Measured("loss clock: waiting", clock["waiting"], (ACCOUNT,), report=True),
    ]


def _ranks(retention: Retention, now: datetime) -> tuple[Any, ...]:
    step = max(1, retention.cap // RANKS)
    return ACCOUNT, retention.retention_type, now - retention.lifetime, now, retention.cap, step


async def _announce(pool: Pool, now: datetime, old: datetime) -> tuple[Any, ...]:
    spans = (await read_loss_clock(pool, ACCOUNT, RETENTIONS, now, DEFAULT_RATE)).spans
    names = ("retention_type", "lost_before", "urgent_before")
    return ACCOUNT, now, old, TOGETHER, *([getattr(span, name) for span in spans] for name in names)


def _journal(now: datetime, ids: list[str]) -> list[Measured]:
    events = statements("insight_events")
    digests = [hashlib.sha256(f"new {name}".encode()).digest() for name in ids]
    raws, accounts, domains = [name.encode() for name in ids], [ACCOUNT] * PAGE, ["pbx"] * PAGE
    times, nothing = [now] * PAGE, [None] * PAGE
    values = (
        digests,
        accounts,
        raws,
        ["{}"] * PAGE,
        ids,
        domains,
        ids,
        times,
        times,
        nothing,
        ["event"] * PAGE,
        nothing,
    )
    return [
        Measured("journal: remember", events["remember"], (digests, times)),
        Measured("journal: write", events["journal"], values),
    ]


def _session(number: int) -> str:
    return f"s-{hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()}"


def _calls(rows: int, now: datetime) -> list[Mapping[str, Any]]:
    """A page of records, half of them known already."""
    return [
        {
            "call_log_id": f"c{rows - PAGE // 2 + number}",
            "telephony_session_id": _session(rows - PAGE // 2 + number),
            "extension_id": "7042",
            "started_at": now.isoformat(),
            "has_recording": True,
            "modified_at": now.isoformat(),
            "deleted": False,
            "entry": {"id": number},
        }
        for number in range(PAGE)
    ]


def _row(name: str, now: datetime) -> Mapping[str, Any]:
    return {
        "domain": "pbx",
        "source_record_id": name,
        "call_log_id": "c1",
        "extension_id": "7042",
        "started_at": now.isoformat(),
        "recording_type": "Automatic",
        "call_log_facts": {},
        "insights_facts": {},
        "insights": {},
        "insights_versions": {},
        "insights_state": "absent",
        "audio_content_uri": "https://media.example/1",
        "audio_state": "pending",
    }
