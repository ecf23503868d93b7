"""The company call log: lists by start time, with filters and pages, and single records (facts 4.1 to 4.3)."""

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from simulator.answers import Answer, bytes_answer, json_answer
from simulator.clock import milliseconds, read_moment
from simulator.company import Call, Revision
from simulator.errors import Refusal, bad_parameter, error_body, not_found
from simulator.records import Renderer, listed_recordings
from simulator.world import Incoming, World

#: business seconds before ``dateTo`` where a list begins when no ``dateFrom`` is given.
DEFAULT_WINDOW = 86_400
DEFAULT_PER_PAGE = 100
#: ids in one request for single records.
LARGEST_BATCH = 50
#: filters that ``sessionId`` cannot be combined with (CLG-110).
NOT_WITH_SESSION = ("dateFrom", "dateTo", "phoneNumber", "extensionNumber", "direction", "type", "telephonySessionId")

Visible = tuple[Call, Revision]
Test = Callable[[Call, Revision], bool]

#: by what the list is sorted; ``any`` is as good as drawn by lot, and the same for every page.
_ORDERS: dict[str, Callable[[Visible], tuple[float, str]]] = {
    "newest": lambda visible: (-visible[0].started_at, visible[0].id),
    "oldest": lambda visible: (visible[0].started_at, visible[0].id),
    "any": lambda visible: (0.0, hashlib.sha256(visible[0].id.encode()).hexdigest()),
}


@dataclass(frozen=True)
class Page:
    number: int
    size: int

    @property
    def first(self) -> int:
        """The position of its first record in the list, from 0 on."""
        return (self.number - 1) * self.size


async def list_call_log(world: World, incoming: Incoming) -> Answer:
    """One page of what is listed now. Totals are left out, as RingCentral does."""
    found, page = listed_calls(world, incoming), page_of(world, incoming)
    first = page.first
    shown = found[first : first + page.size]
    renderer, detailed = renderer_of(world), is_detailed(incoming)
    paging: dict[str, int] = {"page": page.number, "perPage": page.size}
    if shown:
        paging |= {"pageStart": first, "pageEnd": first + len(shown) - 1}
    body = {
        "uri": _uri(renderer, incoming, page.number),
        "records": [renderer.record(call, revision, detailed=detailed) for call, revision in shown],
        "paging": paging,
        "navigation": _navigation(renderer, incoming, page, more=len(found) > first + page.size),
    }
    return json_answer(body)


def listed_calls(world: World, incoming: Incoming) -> list[Visible]:
    """All pages of the list as it is now, in the order of ``call_log_order``. Raises Refusal."""
    tests = [*_tests(world, incoming), _deleted_test(incoming)]
    found = [one for one in visible_calls(world, world.clock.now()) if all(test(*one) for test in tests)]
    return sorted(found, key=_ORDERS[world.options.call_log_order])


async def get_call_records(world: World, incoming: Incoming) -> Answer:
    """One record, or several (comma) as 207 multipart/mixed."""
    ids = incoming.path("call_ids").split(",")
    if len(ids) > LARGEST_BATCH:
        raise Refusal(400, "CMN-106", f"Too many IDs, the limit is {LARGEST_BATCH}")
    now = world.clock.now()
    renderer, detailed = renderer_of(world), is_detailed(incoming)
    found: list[dict[str, Any] | None] = []
    for id_ in ids:
        call = world.company.calls_by_id.get(id_)
        revision = call.revision(now) if call else None
        found.append(renderer.record(call, revision, detailed=detailed) if call and revision else None)
    if len(ids) > 1:
        return _multipart(renderer, ids, found)
    if found[0] is None:
        raise not_found("callRecordId")
    return json_answer(found[0])


def visible_calls(world: World, now: float) -> list[Visible]:
    return [(call, revision) for call in world.company.calls if (revision := call.revision(now))]


def renderer_of(world: World) -> Renderer:
    return Renderer(world.company.account_id, world.url, world.media_url)


def is_detailed(incoming: Incoming) -> bool:
    return one_of(incoming, "view", ("Simple", "Detailed")) == "Detailed"


def one_of(incoming: Incoming, name: str, allowed: tuple[str, ...]) -> str:
    """The parameter's value, by default the first allowed one. Raises Refusal for any other."""
    value = incoming.query(name) or allowed[0]
    if value not in allowed:
        raise bad_parameter(name, value)
    return value


def moment_of(incoming: Incoming, name: str) -> float | None:
    text = incoming.query(name)
    if not text:
        return None
    try:
        return read_moment(text)
    except ValueError as error:
        raise bad_parameter(name, text) from error


def number_of(incoming: Incoming, name: str, default: int) -> int:
    text = incoming.query(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise bad_parameter(name, text)
    return int(text)


def categories_test(incoming: Incoming) -> Test:
    wanted = incoming.request.query.getall("metadataCategory", [])
    return lambda call, _revision: not wanted or (call.ai_notes and "AiNotes" in wanted)


def _tests(world: World, incoming: Incoming) -> list[Test]:
    session = incoming.query("sessionId")
    if session:
        if any(incoming.query(name) for name in NOT_WITH_SESSION):
            raise bad_parameter("sessionId", session, "CLG-110")
        return [lambda call, _revision: call.session_id == session]
    if incoming.query("extensionNumber") and incoming.query("phoneNumber"):
        raise bad_parameter("phoneNumber")
    return [
        _window_test(world, incoming),
        _recording_test(incoming),
        categories_test(incoming),
        *_value_tests(incoming),
    ]


def _deleted_test(incoming: Incoming) -> Test:
    """Deleted records are shown on request only."""
    shown = (incoming.query("showDeleted") or "").lower() == "true"
    return lambda _call, revision: shown or not revision.deleted


def _window_test(world: World, incoming: Incoming) -> Test:
    """Windows are about START time; parts of a second of ``dateFrom`` may be cut off (facts 4.3), so they are."""
    date_to = moment_of(incoming, "dateTo")
    end = world.clock.now() if date_to is None else date_to
    date_from = moment_of(incoming, "dateFrom")
    begin = end - DEFAULT_WINDOW if date_from is None else date_from // 1
    if begin > end:
        raise bad_parameter("dateFrom", incoming.query("dateFrom") or "")
    return lambda call, _revision: milliseconds(begin) <= milliseconds(call.started_at) <= milliseconds(end)


def _recording_test(incoming: Incoming) -> Test:
    wanted = one_of(incoming, "recordingType", ("", "Automatic", "OnDemand", "All"))
    if not wanted and (incoming.query("withRecording") or "").lower() == "true":
        wanted = "All"

    def test(call: Call, revision: Revision) -> bool:
        modes = {recording.mode for recording in listed_recordings(call, revision)}
        return bool(modes) if wanted == "All" else wanted in modes

    return test if wanted else lambda _call, _revision: True


def _value_tests(incoming: Incoming) -> list[Test]:
    """The filters that compare one value of the record with the values asked for."""
    query = incoming.request.query
    for name, allowed in (("direction", {"Inbound", "Outbound"}), ("type", {"Voice", "Fax"})):
        for value in query.getall(name, []):
            if value not in allowed:
                raise bad_parameter(name, value)
    values: dict[str, Callable[[Call], list[str]]] = {
        "direction": lambda call: [call.direction],
        "type": lambda _call: ["Voice"],
        "telephonySessionId": lambda call: [call.telephony_session_id],
        "extensionNumber": lambda call: [call.extension.number],
        "phoneNumber": lambda call: [call.other_number.lstrip("+"), call.extension.phone_number.lstrip("+")],
    }

    def test_of(name: str, value_of: Callable[[Call], list[str]]) -> Test:
        wanted = {value.lstrip("+ ") for value in query.getall(name, [])}
        return lambda call, _revision: not wanted.isdisjoint(value_of(call))

    return [test_of(name, value_of) for name, value_of in values.items() if query.get(name)]


def page_of(world: World, incoming: Incoming) -> Page:
    """The page that is asked for; larger ones are cut down (facts 4.1). Raises Refusal."""
    size = world.options.largest_page
    if incoming.query("perPage") != "max":
        size = min(number_of(incoming, "perPage", DEFAULT_PER_PAGE), size)
    return Page(number_of(incoming, "page", 1), size)


def _uri(renderer: Renderer, incoming: Incoming, page: int) -> str:
    query = [(name, value) for name, value in incoming.request.query.items() if name != "page"]
    return f"{renderer.base}/call-log?{urlencode([*query, ('page', str(page))])}"


def _navigation(renderer: Renderer, incoming: Incoming, page: Page, *, more: bool) -> dict[str, dict[str, str]]:
    pages = {"firstPage": 1}
    if page.number > 1:
        pages["previousPage"] = page.number - 1
    if more:
        pages["nextPage"] = page.number + 1
    return {name: {"uri": _uri(renderer, incoming, number)} for name, number in pages.items()}


def _multipart(renderer: Renderer, ids: list[str], found: list[dict[str, Any] | None]) -> Answer:
    """First the statuses of all, then a part for each."""
    missing = error_body("CMN-102", "Resource for parameter [callRecordId] is not found")
    statuses = [
        {"href": f"{renderer.base}/call-log/{id_}", "status": 200 if record else 404}
        for id_, record in zip(ids, found, strict=True)
    ]
    boundary = f"Boundary_{uuid.uuid4().hex}"
    parts = [{"response": statuses}, *(record or missing for record in found)]
    text = "".join(f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(part)}\r\n" for part in parts)
    return bytes_answer(f"{text}--{boundary}--\r\n".encode(), f'multipart/mixed; boundary="{boundary}"', 207)
