"""The summary: counts per state, three merged rows as a person wants to read them, and where the audio lies."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.table import Table

from common.database.pool import Pool
from demo.check import Verdict

_STATES: Final = """
SELECT audio_state, insights_state, count(*) AS recordings, coalesce(sum(audio_bytes), 0)::bigint AS bytes
FROM recordings GROUP BY 1, 2 ORDER BY 1, 2
"""
_EXAMPLES: Final = """
SELECT * FROM recordings WHERE audio_state = 'stored'
ORDER BY (SELECT count(*) FROM jsonb_object_keys(insights)) DESC, started_at LIMIT 3
"""
#: Faults that are shown one by one; beyond them the count is enough.
_SHOWN: Final = 10


async def show_summary(console: Console, verdict: Verdict, pool: Pool, storage_url: str, seconds: float) -> None:
    """Print it all."""
    states = Table("audio", "insights", "recordings", "MB", title="recordings by state")
    for row in await pool.fetch(_STATES):
        states.add_row(row["audio_state"], row["insights_state"], str(row["recordings"]), f"{row['bytes'] / 1e6:.1f}")
    console.print(states)
    for row in await pool.fetch(_EXAMPLES):
        _show_row(console, row)
    console.print(f"\nThe audio lies in {storage_url}, the rows in the table recordings.", soft_wrap=True)
    for fault in verdict.faults[:_SHOWN]:
        console.print(f"[red]{fault}[/red]")
    if len(verdict.faults) > _SHOWN:
        console.print(f"[red]… and {len(verdict.faults) - _SHOWN} more[/red]")
    console.print(
        f"{verdict.recordings - verdict.gone} recordings expected, {verdict.stored} stored, {verdict.merged} merged, "
        f"{verdict.missing} missing, {verdict.refused} requests refused; {verdict.calls} calls, "
        f"{verdict.events} events, {verdict.size / 1e6:.0f} MB, {seconds:.0f} s",
        soft_wrap=True,
    )


def _show_row(console: Console, row: asyncpg.Record) -> None:
    minutes, seconds = divmod((row["duration_ms"] or 0) // 1000, 60)
    who = f"{_party(row, 'from')} → {_party(row, 'to')}"
    console.print(f"\n[bold]{row['title'] or 'Call without a title'}[/bold]")
    console.print(f"  {row['started_at']:%Y-%m-%d %H:%M} UTC, {row['direction']}, {minutes}:{seconds:02}, {who}")
    console.print(f"  audio      {row['audio_object']} ({row['audio_bytes'] / 1e3:.0f} kB)")
    console.print(f"  sha256     {row['audio_sha256']}")
    insights: Mapping[str, Any] = row["insights"]
    for name in ("Summary", "NextSteps", "Sentiment", "CallNotes"):
        for item in insights.get(name, [])[:1]:
            console.print(f"  {name:<10} {str(item.get('value', '')).replace(chr(10), ' ')[:90]}")
    lines = insights.get("Transcript", [])
    if lines:
        console.print(f"  Transcript {len(lines)} lines, the first: “{str(lines[0].get('text', ''))[:70]}”")


def _party(row: asyncpg.Record, side: str) -> str:
    name, number = row[f"{side}_name"], row[f"{side}_number"]
    return f"{name} ({number})" if name and number else name or number or "unknown"
