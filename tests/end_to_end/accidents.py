"""Accidents of a whole pipeline, each of which quotes the marked person or a secret to whoever listens."""

import asyncio
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import httpx

from common.amqp.topology import QUEUES
from common.messages import KIND, VERSION, InsightsReceived
from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, exit_code, open_rows, until, until_told
from tests.end_to_end.marks import FIRST_NAME, GUESSED_TOKEN, PERSON, TELLING, WEBHOOK_TOKEN, telling_event

#: What an event's request carries beside its body.
HEADERS = {"Content-Type": "application/json; charset=UTF-8", "Verification-Token": WEBHOOK_TOKEN}
#: A call whose record, audio and insights come at once.
CALL = {"appears_after": 0, "audio_after": 0, "insights_after": 0}
#: An error as RingCentral writes it, whose texts quote what they should not.
QUOTING = {"errorCode": "CMN-101", "message": TELLING, "errors": [{"errorCode": "CMN-101", "message": TELLING}]}
#: Answers that are no good, and tell of the marked person.
BAD_ANSWERS: tuple[dict[str, object], ...] = (
    {"endpoint": "recording.content", "kind": "body", "status": 400, "json": QUOTING},
    {"endpoint": "recording.content", "kind": "body", "json": PERSON},
    {"endpoint": "recording.content", "kind": "redirect", "location": f"https://elsewhere.example/{quote(TELLING)}"},
    {"endpoint": "recording.content", "kind": "token_dropped"},
    {"endpoint": "oauth.token", "kind": "body", "status": 503, "text": TELLING, "content_type": "text/plain"},
    {"endpoint": "call_log.sync", "kind": "body", "status": 500, "json": QUOTING},
    {"endpoint": "call_log.sync", "kind": "body", "text": f'{{"records": "{TELLING}'},
)
#: What the rows say of them for a while.
REASONS = {
    "RingCentral answered 400 (CMN-101)",
    "the answer is not audio",
    "the host elsewhere.example is not in RC_MEDIA_HOSTS",
}


#: Postgres refuses some rows and quotes them: an event's row, an event's entry in the journal, and every claim.
QUOTE_ROWS = """
CREATE FUNCTION quote_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not with % or %', to_jsonb(NEW), NEW.title; END $$;
CREATE TRIGGER quote_row BEFORE UPDATE ON recordings FOR EACH ROW
    WHEN (NEW.title LIKE 'Refuse my row%') EXECUTE FUNCTION quote_row();
CREATE FUNCTION quote_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not with %', convert_from(NEW.raw, 'UTF8'); END $$;
CREATE TRIGGER quote_entry BEFORE INSERT ON insight_events FOR EACH ROW
    WHEN (convert_from(NEW.raw, 'UTF8') LIKE '%Refuse my entry%') EXECUTE FUNCTION quote_entry();
"""
QUOTE_CLAIMS = """
CREATE TRIGGER quote_claim BEFORE UPDATE ON recordings FOR EACH ROW
    WHEN (OLD.audio_claim IS NULL AND NEW.audio_claim IS NOT NULL) EXECUTE FUNCTION quote_row();
"""


async def all_is_well(pipeline: Pipeline, rows: Rows) -> None:
    pipeline.ask_simulator("/simulator/calls", {"count": 4, **CALL})
    await _post(pipeline, telling_event("1001"))
    await rows.until_recording("1001", insights_state="present")
    whole = "SELECT count(*) = 4 FROM recordings WHERE audio_state = 'stored' AND insights_state = 'present'"
    await until(lambda: rows.ask(whole), what="four recordings, whole")


async def ringcentral_gives_bad_answers(pipeline: Pipeline, rows: Rows) -> None:
    for answer in BAD_ANSWERS:
        pipeline.ask_simulator("/simulator/faults", {"times": 1, **answer})
    pipeline.ask_simulator("/simulator/calls", {"count": 4, **CALL})

    async def all_told() -> bool:
        return {row["audio_reason"] for row in await rows.all("SELECT audio_reason FROM kept_reasons")} >= REASONS

    async def minted_again() -> bool:
        return bool(pipeline.ask_simulator("/simulator/counts")["tokens_minted"] >= 2)

    await until(all_told, what="a reason for each bad answer")
    await until(minted_again, what="a token after the one that was refused")
    await until_told(pipeline, "poller", "clockwork_waited", times=2)


async def postgres_quotes_what_it_refuses(pipeline: Pipeline, rows: Rows) -> None:
    await rows.run(QUOTE_ROWS)
    await _post(pipeline, telling_event("2001", title="Refuse my row."))
    await _post(pipeline, telling_event("2002", title="Refuse my entry."))
    later = {KIND: InsightsReceived.QUEUE, VERSION: "9"}
    async with await aio_pika.connect(pipeline.rabbitmq.url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:
            message = aio_pika.Message(telling_event("2003"), headers=dict(later))
            await channel.default_exchange.publish(message, queue)
    await until_told(pipeline, "insights", "message_dead_lettered", times=2)
    await until_told(pipeline, "insights", "event_not_applied", times=2)

    await rows.run(QUOTE_CLAIMS)
    (call,) = pipeline.ask_simulator("/simulator/calls", CALL)["calls"]
    row = await rows.until_recording(call["recordings"][0], audio_attempts=1)
    assert row["audio_reason"] == "unexpected RaiseError"
    await until_told(pipeline, "downloader", "message_dead_lettered", times=2)
    await rows.run("DROP TRIGGER quote_claim ON recordings")


async def strangers_ask_the_receiver(pipeline: Pipeline) -> None:
    event = telling_event("3001")
    async with httpx.AsyncClient(timeout=30) as http:
        for content, headers, status in (
            (event, {**HEADERS, "Verification-Token": GUESSED_TOKEN}, 403),
            (event, {**HEADERS, "Verification-Token": "", "Validation-Token": WEBHOOK_TOKEN[:-1]}, 403),
            (event[:-1], HEADERS, 400),
            (telling_event("3002", account_id="4711"), HEADERS, 403),
            (event, {**HEADERS, "Content-Type": f"text/{FIRST_NAME}"}, 415),
        ):
            assert (await http.post(pipeline.webhook_url, content=content, headers=headers)).status_code == status
        await http.get(f"{pipeline.webhook_url}?token={WEBHOOK_TOKEN}&name={FIRST_NAME}")


async def storage_is_away(pipeline: Pipeline, rows: Rows) -> None:
    assert pipeline.s3 is not None
    await asyncio.to_thread(pipeline.s3.shut_down)
    (call,) = pipeline.ask_simulator("/simulator/calls", CALL)["calls"]
    row = await rows.until_recording(call["recordings"][0], audio_attempts=1)
    assert row["audio_reason"]
    await asyncio.to_thread(pipeline.s3.start)


async def postgres_and_rabbitmq_are_away(pipeline: Pipeline) -> None:
    await asyncio.to_thread(pipeline.postgres.shut_down)
    await _post(pipeline, telling_event("4001"))
    await until_told(pipeline, "insights", "handling_waited")
    await asyncio.to_thread(pipeline.rabbitmq.shut_down)
    await _post(pipeline, telling_event("4002"))
    await until_told(pipeline, "poller", "lease_not_renewed")
    await asyncio.gather(asyncio.to_thread(pipeline.rabbitmq.start), asyncio.to_thread(pipeline.postgres.start))
    async with open_rows(pipeline) as rows:
        for recording_id in ("4001", "4002"):
            await rows.until_recording(recording_id, insights_state="present")


def wrong_passwords(pipeline: Pipeline) -> None:
    """Given processes with one wrong password each, none of them starts, and each says which setting it is."""
    wrong = {
        ("insights", "DATABASE_URL"): _with_another_password(pipeline.environment["DATABASE_URL"]),
        ("insights", "AMQP_URL"): _with_another_password(pipeline.environment["AMQP_URL"]),
        ("downloader", "AWS_SECRET_ACCESS_KEY"): GUESSED_TOKEN,
        ("poller", "RC_JWT"): GUESSED_TOKEN,
        ("poller", "RC_CLIENT_SECRET"): GUESSED_TOKEN,
    }
    processes = {
        setting: pipeline.launch(service, f"{service} with a wrong {setting}", **{setting: value})
        for (service, setting), value in wrong.items()
    }
    for setting, process in processes.items():
        assert exit_code(process) == 2
        assert setting.removeprefix("AWS_SECRET_") in process.log_tail().splitlines()[-1]


def _with_another_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(parts.password or "", GUESSED_TOKEN)))


async def _post(pipeline: Pipeline, event: bytes) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        assert (await http.post(pipeline.webhook_url, content=event, headers=HEADERS)).status_code == 200
