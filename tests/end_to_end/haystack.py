"""Everywhere that people look for causes, as text: metrics, commands, error messages, headers of dead letters."""

import subprocess
import sys

import aio_pika
import httpx

from common.amqp.topology import QUEUES, dead_letter_queue
from demo.pipeline import SERVICES, Pipeline
from tests.end_to_end.facts import Rows

#: Columns that say what went wrong, those of later versions too.
ERROR_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name ~ '(error|reason|code|message)'
"""
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


def logs(pipeline: Pipeline) -> dict[str, str]:
    """All that every process has said."""
    return {f"the log of {name}": process.log.read_text() for name, process in pipeline.services.items()}


async def metrics(pipeline: Pipeline) -> dict[str, str]:
    """What the admin port of every service answers."""
    found: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=30) as http:
        for service in SERVICES:
            (opened,) = pipeline.told(service, "admin_port_opened")
            for path in ("metrics", "livez", "readyz"):
                answer = await http.get(f"http://127.0.0.1:{opened['port']}/{path}")
                found[f"/{path} of {service}"] = answer.text
    return found


async def dead_letters(pipeline: Pipeline) -> dict[str, str]:
    """All that stands beside the bodies of the dead letters; the bodies tell, and are not looked at."""
    found: dict[str, str] = {}
    async with await aio_pika.connect(pipeline.rabbitmq.url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:
            dead = await channel.get_queue(dead_letter_queue(queue))
            while message := await dead.get(fail=False):
                found[f"the headers of dead letter {len(found) + 1}"] = repr((message.headers, message.info()))
    return found


def commands(pipeline: Pipeline) -> dict[str, str]:
    """What the command prints of the dead letters, without their bodies."""
    found = {}
    for arguments in (("list",), ("show", "--all")):
        done = subprocess.run(
            [sys.executable, "-m", "cli", "dead-letters", *arguments],
            env=pipeline.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found[f"ringvault dead-letters {arguments[0]}"] = done.stdout + done.stderr
    return found


async def error_columns(rows: Rows) -> dict[str, str]:
    """Every column that says what went wrong, all of its values."""
    found = {}
    for one in await rows.all(ERROR_COLUMNS):
        table, column = one["table_name"], one["column_name"]
        found[f"{table}.{column}"] = await rows.ask(
            f"SELECT coalesce(string_agg({column}::text, chr(10)), '') FROM {table}"  # noqa: S608 - names of our schema
        )
    return found


async def tables(rows: Rows) -> dict[str, str]:
    """Everything that is stored."""
    return {
        f"the table {table}": await rows.ask(
            f"SELECT coalesce(string_agg(to_jsonb(one)::text, chr(10)), '') FROM {table} one"  # noqa: S608 - as above
        )
        for (table,) in [row.values() for row in await rows.all(TABLES)]
    }
