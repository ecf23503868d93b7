"""The pages of ``call-log-extract-sync``: by modification time, nothing left out, tokens that belong to their owner."""

import pytest

from simulator.call_log import Visible
from simulator.call_log_sync import Position, next_records, read_token
from simulator.company import Call, Company, Revision
from simulator.drawing import draw_company
from simulator.errors import Refusal
from simulator.options import SimulatorOptions

OWNER = "1/app"


def drawn() -> Company:
    return draw_company(SimulatorOptions(recordings=60), 0.0)[0]


def visible(company: Company, now: float) -> list[Visible]:
    return [(call, revision) for call in company.calls if (revision := call.revision(now))]


def read_all(company: Company, now: float, position: Position) -> tuple[list[str], Position]:
    ids: list[str] = []
    more = True
    while more:
        page, position, more = next_records(visible(company, now), position)
        ids += [call.id for call, _ in page]
    return ids, position


def call_written_at(id_: str, at: float) -> Visible:
    revision = Revision(at)
    extension = drawn().extensions[0]
    call = Call(id_, "1", "s-1", extension, "Inbound", "", "", 0.0, 1, (revision,))
    return call, revision


def test_small_pages_give_every_record_once_in_order_of_modification() -> None:
    company = drawn()
    ids, _ = read_all(company, company.last_moment, Position(-1, 7, OWNER, 0))
    assert sorted(ids) == sorted(call.id for call in company.calls)


def test_a_reader_that_comes_back_sees_exactly_what_was_written_since_and_rewritten_records_again() -> None:
    company = drawn()
    rewritten = {call.id for call in company.calls if len(call.revisions) == 2}
    seen: list[str] = []
    position = Position(-1, 250, OWNER, 0)
    for now in range(0, 3600, 10):
        ids, position = read_all(company, float(now), position)
        seen += ids
    assert set(seen) == {call.id for call in company.calls}
    assert rewritten
    assert {id_ for id_ in seen if seen.count(id_) > 1} == rewritten


def test_a_page_grows_over_records_of_the_same_millisecond_only() -> None:
    records = [call_written_at(name, at) for name, at in (("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 2.0))]
    page, position, more = next_records(records, Position(0, 2, OWNER, 0))
    assert [call.id for call, _ in page] == ["a", "b", "c"]
    assert more
    rest, _, more = next_records(records, position)
    assert ([call.id for call, _ in rest], more) == (["d"], False)


def test_a_token_keeps_the_position_of_its_owner() -> None:
    position = Position(1234, 250, OWNER, 0)
    assert read_token(position.token(), OWNER, 0) == position


@pytest.mark.parametrize(
    ("token", "owner", "epoch"),
    [
        (Position(1, 250, OWNER, 0).token(), "2/app", 0),
        (Position(1, 250, OWNER, 0).token(), OWNER, 1),
        ("nonsense", OWNER, 0),
        ("", OWNER, 0),
    ],
    ids=["somebody else's", "rejected", "nonsense", "none"],
)
def test_a_token_that_is_not_this_owners_is_refused(token: str, owner: str, epoch: int) -> None:
    with pytest.raises(Refusal) as refused:
        read_token(token, owner, epoch)
    assert (refused.value.status, refused.value.body["errorCode"]) == (400, "CLG-101")
