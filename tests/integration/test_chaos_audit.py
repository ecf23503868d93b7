"""The audit: a fact that is changed twice to the same is found, one that is changed once is not."""

from importlib import resources

import pytest

from chaos.judge import DOUBLED
from common.database.pool import Pool

RECORDING = """
INSERT INTO recordings (account_id, domain, source_record_id, audio_content_uri, audio_state, audio_due_at,
    audio_object, first_seen_at, updated_at)
VALUES ('1', 'pbx', 'r', 'https://x/r', 'pending', now(), 'o', now(), now())
"""
STORE = """
UPDATE recordings SET audio_state = 'stored', audio_bytes = 1, audio_sha256 = repeat('a', 64), audio_stored_at = now()
"""
AGAIN = "UPDATE recordings SET audio_sha256 = repeat('b', 64)"
VERSION = "UPDATE recordings SET insights_versions = $1::jsonb"
CALL = """
INSERT INTO calls (account_id, call_log_id, has_recording, entry, first_seen_at, updated_at)
VALUES ('1', 'c', true, '{"result": "x"}', now(), now())
"""
ENTRY = "UPDATE calls SET entry = $1::jsonb"
EVENT = """
INSERT INTO insight_events (digest, account_id, raw, received_at) VALUES ('\\x01', '1', '\\x01', now() + $1::interval)
"""


@pytest.fixture
async def audited(pool: Pool) -> Pool:
    await pool.execute(resources.files("chaos").joinpath("audit.sql").read_text())
    await pool.execute(RECORDING)
    await pool.execute(CALL)
    await pool.execute("SELECT ensure_insight_events_partition(now())")
    return pool


async def doubled(pool: Pool) -> list[str]:
    return [row["what"] for row in await pool.fetch(DOUBLED)]


async def test_what_happens_once_is_not_doubled(audited: Pool) -> None:
    await audited.execute(VERSION, {"Summary": ["1", "a"]})
    await audited.execute(VERSION, {"Summary": ["2", "b"], "Transcript": ["2", "c"]})
    await audited.execute(ENTRY, {"result": "y"})
    await audited.execute(STORE)
    await audited.execute("UPDATE recordings SET title = 'seen again'")

    assert await doubled(audited) == []


async def test_a_recording_that_is_stored_again_is_doubled(audited: Pool) -> None:
    await audited.execute(STORE)
    await audited.execute(AGAIN)

    assert await doubled(audited) == ["stored"]


async def test_an_insight_or_a_call_that_goes_back_to_what_it_was_is_doubled(audited: Pool) -> None:
    for summary in ("a", "b", "a"):
        await audited.execute(VERSION, {"Summary": ["1", summary]})
    for result in ("y", "x"):
        await audited.execute(ENTRY, {"result": result})

    assert sorted(await doubled(audited)) == ["call", "insights"]
