"""`ringvault dead-letters`: what could not be handled: see it, hand it over again, or drop it.

Needs AMQP_URL alone. What a message says is shown on `--body` only: it holds names, numbers and what was spoken.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final

import structlog
import typer

from cli.dead_letter_text import description_of
from cli.table import lines_of
from common.amqp.connection import BROKER_AWAY, DECLARED_OTHERWISE
from common.amqp.dead_letter_reading import BeingRead, alone, look_through, settle
from common.amqp.dead_letters import DeadLetter
from common.amqp.publisher import CONFIRM_TIMEOUT, NotConfirmed, open_publisher
from common.amqp.ready import check_credentials
from common.amqp.topology import QUEUES
from common.process import CannotStart
from common.settings import BrokerSettings, SettingsError, read_settings

app = typer.Typer(name="dead-letters", help="What could not be handled.", no_args_is_help=True)

Queue = Annotated[str | None, typer.Option(help=f"of one queue only: {' or '.join(QUEUES)}")]
Causes = Annotated[list[str] | None, typer.Option("--cause", help="those of this cause, as `list` names it")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="this one, as `show` names it")]
All = Annotated[bool, typer.Option("--all", help="all of them")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only say how many it would be")]
Body = Annotated[bool, typer.Option("--body", help="also everything that the message says: personal data")]

#: What an answer of the broker that is no refusal of the user means for a person.
_AWAY: Final = "AMQP_URL names a RabbitMQ that cannot be reached or does not answer: check host and port, and its log."
_OTHERWISE: Final = (
    "a queue in RabbitMQ was declared otherwise than this version of ringvault does: save its messages, delete it, and"
    " the services declare it anew (docs/operations.md, RabbitMQ)."
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant."""

    queues: tuple[str, ...]
    causes: frozenset[str]
    ids: frozenset[str]
    everything: bool

    @classmethod
    def of(cls, queue: str | None, causes: list[str] | None, ids: list[str] | None, *, everything: bool) -> "Selection":
        """What the options say; raises `SettingsError` when they say nothing, or two things."""
        if queue is not None and queue not in QUEUES:
            raise SettingsError(f"--queue is none of ours: it is {' or '.join(QUEUES)}.")
        if sum(map(bool, (causes, ids, everything))) != 1:
            raise SettingsError("say which dead letters are meant: --cause, --id or --all, one of the three.")
        return cls((queue,) if queue else QUEUES, frozenset(causes or ()), frozenset(ids or ()), everything)

    def has(self, letter: DeadLetter) -> bool:
        """Whether it is one of them."""
        return self.everything or letter.cause in self.causes or letter.id in self.ids


@dataclass(slots=True)
class Group:
    """Dead letters of one queue and cause."""

    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    times: int = 0

    def add(self, letter: DeadLetter) -> None:
        """Count one more; nothing else of it is kept."""
        self.count += 1
        self.times = max(self.times, letter.times)
        if letter.first_at:
            self.oldest = min(self.oldest or letter.first_at, letter.first_at)
        if letter.last_at:
            self.newest = max(self.newest or letter.last_at, letter.last_at)


@dataclass(slots=True)
class _Groups:
    found: dict[tuple[str, str], Group] = field(default_factory=dict)

    def add(self, letter: DeadLetter) -> None:
        self.found.setdefault((letter.queue, letter.cause), Group()).add(letter)


@app.command("list")
def list_groups() -> None:
    """How many there are, by queue and cause, since when, and how often they were tried."""
    groups = _Groups()

    async def look(url: str) -> None:
        for queue in QUEUES:
            await look_through(url, queue, groups.add)

    _run(look)
    rows = [
        (queue, cause, str(group.count), _time(group.oldest), _time(group.newest), str(group.times))
        for (queue, cause), group in sorted(groups.found.items())
    ]
    head = ("QUEUE", "CAUSE", "COUNT", "OLDEST", "NEWEST", "MOST TIMES")
    typer.echo("\n".join(lines_of([head, *rows])) if rows else "there are no dead letters")


@app.command()
def show(
    queue: Queue = None, cause: Causes = None, id_: Ids = None, *, everything: All = False, body: Body = False
) -> None:
    """Print dead letters, each as one JSON object: ids and history, without what was said or by whom."""
    selection = Selection.of(queue, cause, id_, everything=everything)
    found = 0

    def look(letter: DeadLetter) -> None:
        nonlocal found
        if selection.has(letter):
            found += 1
            typer.echo(description_of(letter, with_body=body))

    _run(lambda url: _look_through(url, selection, look))
    _check_found(selection, found)


@app.command()
def replay(
    queue: Queue = None, cause: Causes = None, id_: Ids = None, *, everything: All = False, dry_run: DryRun = False
) -> None:
    """Hand messages over again: each is published to its queue, and leaves the dead letters once that is confirmed."""

    async def replay_all(url: str, act: _Act) -> None:
        async with open_publisher(url, "dead letters") as publisher:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                await publisher.wait_connected()

            async def publish(letter: DeadLetter) -> None:
                await publisher.publish(letter.queue, letter.again())
                act.done += 1

            await act.on_all(url, publish)

    _settle(Selection.of(queue, cause, id_, everything=everything), "replayed", replay_all, dry_run=dry_run)


@app.command()
def drop(
    queue: Queue = None, cause: Causes = None, id_: Ids = None, *, everything: All = False, dry_run: DryRun = False
) -> None:
    """Take messages off the dead letters for good."""

    async def drop_all(url: str, act: _Act) -> None:
        async def note(_letter: DeadLetter) -> None:
            act.done += 1

        await act.on_all(url, note)

    _settle(Selection.of(queue, cause, id_, everything=everything), "dropped", drop_all, dry_run=dry_run)


@dataclass(slots=True)
class _Act:
    """What is done to the selected, and to how many it was done."""

    selection: Selection
    done: int = 0

    async def on_all(self, url: str, act: Callable[[DeadLetter], Awaitable[None]]) -> None:
        for queue in self.selection.queues:
            await settle(url, queue, self.selection.has, act)


def _settle(selection: Selection, done: str, run: Callable[[str, _Act], Awaitable[None]], *, dry_run: bool) -> None:
    act = _Act(selection)

    def count(letter: DeadLetter) -> None:
        act.done += selection.has(letter)

    if dry_run:
        _run(lambda url: _look_through(url, selection, count))
    else:
        try:
            _run(lambda url: run(url, act))
        except SettingsError as fault:
            raise SettingsError(f"{fault} {act.done} were {done} before; the others are where they were.") from None
    _check_found(selection, act.done)
    typer.echo(f"{act.done} would be {done}" if dry_run else f"{act.done} {done}")


async def _look_through(url: str, selection: Selection, look: Callable[[DeadLetter], None]) -> None:
    for queue in selection.queues:
        await look_through(url, queue, look)


def _check_found(selection: Selection, found: int) -> None:
    if not found and not selection.everything:
        raise SettingsError("no dead letter is such: `ringvault dead-letters list` names the causes there are.")


def _run(command: Callable[[str], Awaitable[None]]) -> None:
    """Run a command alone; raises `SettingsError` with one sentence for what a person must mend."""
    # What the connections log on their way is for services; here one sentence says what is wrong.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    url = read_settings(BrokerSettings, os.environ).amqp_url.get_secret_value()

    async def run() -> None:
        await check_credentials(url, "dead letters")
        async with alone(url):
            await command(url)

    try:
        asyncio.run(run())
    except CannotStart as fault:
        raise SettingsError(str(fault)) from None
    except BeingRead:
        raise SettingsError("somebody else reads the dead letters just now: try again when that has ended.") from None
    except DECLARED_OTHERWISE:
        raise SettingsError(_OTHERWISE) from None
    except NotConfirmed:
        raise SettingsError("RabbitMQ did not confirm: see whether it has an alarm, and try again.") from None
    except BROKER_AWAY:
        raise SettingsError(_AWAY) from None


def _time(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else "unknown"
