"""Secrets, names, numbers and what was spoken are seen in no log line, metric, error message or dead letter's header.

The whole pipeline runs, much goes wrong on purpose, and all of it is searched then.
"""

import asyncio
import hashlib
import json
import signal
from collections.abc import Mapping, Sequence

import pytest

from common.ringcentral.credentials import Credential
from demo.pipeline import SERVICES, Pipeline, events_of
from tests.end_to_end import accidents, haystack
from tests.end_to_end.facts import Rows, exit_code, open_rows, until_told
from tests.end_to_end.marks import CLIENT_SECRET, JWT, PERSON, WEBHOOK_TOKEN, Mark, people_of, secrets_of, seen

#: Every access token that is ever shared, as it is stored, and every reason: both give way to the next.
KEEP = """
CREATE TABLE kept_tokens (ciphertext bytea);
CREATE FUNCTION keep_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO kept_tokens VALUES (NEW.ciphertext); RETURN NEW; END $$;
CREATE TRIGGER keep_token AFTER INSERT OR UPDATE OF ciphertext ON access_tokens FOR EACH ROW
    WHEN (NEW.ciphertext IS NOT NULL) EXECUTE FUNCTION keep_token();
CREATE TABLE kept_reasons (audio_reason text);
CREATE FUNCTION keep_reason() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO kept_reasons VALUES (NEW.audio_reason); RETURN NEW; END $$;
CREATE TRIGGER keep_reason AFTER UPDATE OF audio_reason ON recordings FOR EACH ROW
    WHEN (NEW.audio_reason IS NOT NULL) EXECUTE FUNCTION keep_reason();
"""
#: What must have been logged: what was done, and what went wrong.
EXPECTED = {
    *("process_started", "token_minted", "subscription_recorded", "call_log_polled", "recordings_announced"),
    *("download_stored", "download_failed", "download_postponed", "event_accepted", "requests_refused"),
    *("events_journaled", "event_not_applied", "handling_failed", "message_dead_lettered", "clockwork_waited"),
    *("broker_lost", "handling_waited", "lease_not_renewed", "process_stopped"),
}
#: What must stand among the error messages and the headers of dead letters.
EXPECTED_ERRORS = {
    "kept_reasons.audio_reason": ("the answer is not audio", "is not in RC_MEDIA_HOSTS", "unexpected RaiseError"),
    "insight_events.error": ("Postgres refused it: RaiseError",),
    "ringvault dead-letters list": ("RaiseError", "not decodable"),
    "ringvault dead-letters show": ("RaiseError", "sourceRecordId"),
    "the headers of all dead letters": ("dead_reason", "received_at"),
    "/metrics of downloader": ("ringvault_downloads_total",),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pipeline", ["s3"], indirect=True)
@pytest.mark.parametrize("servers", ["direct"], indirect=True)  # a pooler says in other words that it has no server.
async def test_secrets_and_personal_data_are_seen_nowhere_whatever_goes_wrong(pipeline: Pipeline) -> None:
    pipeline.settings |= {"RC_WEBHOOK_TOKEN": WEBHOOK_TOKEN, "LOG_LEVEL": "debug"}
    pipeline.start_simulator(recordings=0, client_secret=CLIENT_SECRET, jwt=JWT)
    async with open_rows(pipeline) as rows:
        await rows.run(KEEP)
        pipeline.start_all(*SERVICES)
        await until_told(pipeline, "poller", "subscription_recorded")

        await accidents.all_is_well(pipeline, rows)
        await accidents.ringcentral_gives_bad_answers(pipeline, rows)
        await accidents.postgres_quotes_what_it_refuses(pipeline, rows)
        await accidents.strangers_ask_the_receiver(pipeline)
        await accidents.storage_is_away(pipeline, rows)
    await accidents.postgres_and_rabbitmq_are_away(pipeline)
    await asyncio.to_thread(accidents.wrong_passwords, pipeline)

    shown = await haystack.metrics(pipeline) | await asyncio.to_thread(haystack.commands, pipeline)
    shown |= await haystack.dead_letters(pipeline)
    _stop(pipeline)
    shown |= haystack.logs(pipeline)
    async with open_rows(pipeline) as rows:
        shown |= await haystack.error_columns(rows)
        stored = await haystack.tables(rows)
        secrets = secrets_of(pipeline.environment, await _tokens(pipeline, rows))
        people = people_of(await rows.all("SELECT * FROM recordings"))
        await _they_are_where_they_belong(rows, people)
    _there_is_enough_to_search(pipeline, shown)

    assert seen([*secrets, *people], shown) == []
    assert seen(secrets, stored) == []


def test_the_search_finds_each_mark_however_it_is_written() -> None:
    secret = Mark("a secret", "two words/and+more")
    number = Mark("a number", "+15550107319")

    for written in (
        'event="two words/and+more"',
        "TWO WORDS/AND+MORE",
        "https://host/?secret=two%20words%2Fand%2Bmore&x=1",
        "secret=two+words%2Fand%2Bmore",
        "dHdvIHdvcmRzL2FuZCttb3Jl",
        r"\x74776f20776f7264732f616e642b6d6f7265",
    ):
        assert seen([secret], {"a log": written, "another": "two words"}) == ["a secret in a log"]
    assert seen([number], {"a log": "from 5550107319"}) == ["a number in a log"]
    assert seen([secret, number], {"a log": "two wordsand more 555010731"}) == []


def _stop(pipeline: Pipeline) -> None:
    for service in SERVICES:
        pipeline.services[service].send(signal.SIGTERM)
    assert {exit_code(pipeline.services[service]) for service in SERVICES} == {0}


async def _tokens(pipeline: Pipeline, rows: Rows) -> set[str]:
    """Every access token that the services had; the simulator knows how many."""
    settings = pipeline.environment
    credential = Credential(settings["RC_CLIENT_ID"], settings["RC_CLIENT_SECRET"], settings["RC_JWT"])
    kept = await rows.all("SELECT ciphertext FROM kept_tokens")
    tokens = {credential.decrypt(row["ciphertext"]) or "" for row in kept}
    assert len(tokens - {""}) == pipeline.ask_simulator("/simulator/counts")["tokens_minted"] >= 2
    return tokens


async def _they_are_where_they_belong(rows: Rows, people: Sequence[Mark]) -> None:
    """What is searched for is there to be seen: in the journal, in the rows, on the subscription."""
    journal = await rows.ask("SELECT string_agg(convert_from(raw, 'UTF8'), chr(10)) FROM insight_events")
    recordings = json.dumps(await rows.all("SELECT * FROM recordings"), default=str)
    telling = [Mark(what, text) for what, text in PERSON.items()]
    assert len(seen(telling, {"the journal": journal})) == len(seen(telling, {"the rows": recordings})) == len(telling)
    assert len(seen(people, {"the rows": recordings})) == len(people) > 20
    assert {mark.what for mark in people} == {"a first name", "a last name", "a name", "a number", "a text"}
    digest = hashlib.sha256(WEBHOOK_TOKEN.encode()).hexdigest()
    assert await rows.ask("SELECT verification_token_digest FROM subscriptions") == digest


def _there_is_enough_to_search(pipeline: Pipeline, shown: Mapping[str, str]) -> None:
    told = {line.get("event") for process in pipeline.services.values() for line in events_of(process.log)}
    assert told >= EXPECTED
    # Which one is the first is not promised: whoever looked at them has put them back.
    headers = [text for where, text in shown.items() if where.startswith("the headers of dead letter")]
    shown = {**shown, "the headers of all dead letters": "".join(headers)}
    for where, expected in EXPECTED_ERRORS.items():
        for text in expected:
            assert text in shown[where], where
