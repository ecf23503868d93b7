"""``call-log-extract-sync``: everything that was written since, by modification time (facts 4.4)."""

import base64
import binascii
import json
from dataclasses import dataclass
from itertools import takewhile

from simulator.answers import Answer, json_answer
from simulator.call_log import (
    Visible,
    categories_test,
    is_detailed,
    moment_of,
    number_of,
    one_of,
    renderer_of,
    visible_calls,
)
from simulator.clock import milliseconds, written
from simulator.errors import Refusal
from simulator.world import Incoming, World

DEFAULT_COUNT = 250
#: business seconds that a first synchronisation looks back when it does not say from when.
DEFAULT_LOOK_BACK = 3600


@dataclass(frozen=True)
class Position:
    """Where a reader stands: everything modified up to and including ``after_ms`` was given. What a token holds."""

    after_ms: int
    count: int
    owner: str
    epoch: int

    def token(self) -> str:
        text = json.dumps([self.after_ms, self.count, self.owner, self.epoch])
        return base64.urlsafe_b64encode(text.encode()).decode()


async def extract_sync(world: World, incoming: Incoming) -> Answer:
    """FSync from a date, ISync from a token. A token of another user or app, or a rejected one, is 400 CLG-101.

    Deleted records are told to ISync requests only, marked as deleted (the specification's CallLogRecord).
    """
    if world.without_extract_sync:
        raise sync_missing(world.without_extract_sync)
    if world.clock.real() < world.sync_away_until:
        raise sync_missing(404)
    owner = f"{incoming.session.user.extension_id}/{incoming.session.app}"
    kind = one_of(incoming, "syncType", ("FSync", "ISync"))
    if kind == "ISync":
        position = read_token(incoming.query("syncToken") or "", owner, world.sync_epoch)
    else:
        date_from = moment_of(incoming, "dateFrom")
        begin = world.clock.now() - DEFAULT_LOOK_BACK if date_from is None else date_from
        count = min(number_of(incoming, "recordCount", DEFAULT_COUNT), world.options.largest_page)
        position = Position(milliseconds(begin) - 1, count, owner, world.sync_epoch)
    now = world.clock.now()
    wanted = categories_test(incoming)
    shown, after, more = next_records(visible_calls(world, now), position)
    renderer, detailed = renderer_of(world), is_detailed(incoming)
    body = {
        "uri": f"{renderer.base}/call-log-extract-sync",
        "records": [
            renderer.record(call, revision, detailed=detailed)
            for call, revision in shown
            if wanted(call, revision) and (kind == "ISync" or not revision.deleted)
        ],
        "syncInfo": {
            "syncType": kind,
            "syncToken": after.token(),
            "syncTime": written(now),
            "newerRecordsExist": more,
        },
    }
    return json_answer(body)


def next_records(visible: list[Visible], position: Position) -> tuple[list[Visible], Position, bool]:
    """The next page in order of modification; it grows beyond ``count`` only over records of the same millisecond."""
    newer = [one for one in visible if _modified(one) > position.after_ms]
    newer.sort(key=lambda one: (_modified(one), one[0].id))
    page, rest = newer[: position.count], newer[position.count :]
    if not page:
        return [], position, False
    last = _modified(page[-1])
    page += takewhile(lambda one: _modified(one) == last, rest)
    return page, Position(last, position.count, position.owner, position.epoch), len(page) < len(newer)


def read_token(token: str, owner: str, epoch: int) -> Position:
    """Raises Refusal 400 CLG-101 for a token that is not (any more) this owner's."""
    try:
        position = Position(*json.loads(base64.urlsafe_b64decode(token)))
    except (ValueError, TypeError, binascii.Error):
        position = None
    if position is None or (position.owner, position.epoch) != (owner, epoch):
        raise Refusal(400, "CLG-101", "Parameter [syncToken] is invalid", parameterName="syncToken")
    return position


def sync_missing(status: int) -> Refusal:
    """What an account without this endpoint answers; which of the two is not known."""
    if status == 403:
        return Refusal(403, "CMN-109", "Feature [CallLogExtractSync] is not available for the account")
    return Refusal(404, "CMN-120", "Invalid URI")


def _modified(visible: Visible) -> int:
    return milliseconds(visible[1].at)
