"""The model behind docs/scaling.md: what must hold for any company, and that the document says what it computes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import AT_ONCE, BY_MORNING, COMPANIES, DOCUMENT, SHOWN, filled, fleet_for, fleet_of, tables
from benchmarks.scaling_costs import PODS
from benchmarks.scaling_model import CAP, DAYS, HOURS, WORKING_DAYS, Company, Fleet, simulate

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"

companies = st.builds(
    Company,
    users=st.integers(0, 30_000),
    recorded=st.integers(0, 40),
    records_each=st.floats(1.0, 10.0, allow_nan=False),
)
fleets = st.builds(
    Fleet,
    credentials=st.integers(1, 60),
    downloaders=st.integers(0, 40),
    streams=st.integers(1, 16),
    seconds_each=st.floats(0.5, 300.0),
)


def with_more(fleet: Fleet, *, credentials: int = 0, downloaders: int = 0) -> Fleet:
    more = (fleet.credentials + credentials, fleet.downloaders + downloaders)
    return Fleet(*more, streams=fleet.streams, seconds_each=fleet.seconds_each)


def test_every_call_of_a_day_falls_into_one_of_its_hours() -> None:
    assert sum(HOURS) == 100
    assert sum(Company(777, recorded=13).arrivals()) == 777 * 13 * WORKING_DAYS


@given(companies, fleets)
def test_what_came_was_stored_or_lost_or_still_waits(company: Company, fleet: Fleet) -> None:
    week = simulate(company, fleet)

    assert week.arrived == company.a_day * WORKING_DAYS
    assert week.arrived == week.stored + week.lost + week.left
    assert all(0 <= waiting <= CAP for waiting in week.backlog)


@given(companies, fleets)
def test_no_more_is_asked_than_the_budget_allows(company: Company, fleet: Fleet) -> None:
    hours = 24 * DAYS

    assert simulate(company, fleet).requests <= fleet.rate * 3600 * hours + 2 * hours, "each hour is rounded up twice"


@given(companies, fleets, st.integers(1, 20), st.integers(0, 20))
def test_more_service_users_or_downloaders_are_never_slower(
    company: Company, fleet: Fleet, credentials: int, downloaders: int
) -> None:
    before = simulate(company, fleet)
    after = simulate(company, with_more(fleet, credentials=credentials, downloaders=downloaders))

    assert all(less <= more for less, more in zip(after.backlog, before.backlog, strict=True))
    assert after.lost <= before.lost
    assert after.stored >= before.stored
    if not before.lost:
        assert after.longest_wait <= before.longest_wait


@given(st.integers(1, 120))
def test_downloaders_beyond_those_that_the_budget_feeds_change_nothing(credentials: int) -> None:
    fleet = fleet_of(credentials)

    assert with_more(fleet, downloaders=5).downloads(0) == fleet.downloads(0)


def test_nobody_waits_with_the_service_users_that_are_advised_and_somebody_with_one_less() -> None:
    for company in COMPANIES:
        for hours in (AT_ONCE, BY_MORNING):
            fleet = fleet_for(company, hours)
            assert simulate(company, fleet).longest_wait <= hours
            if fleet.credentials > 1:
                fewer = simulate(company, fleet_of(fleet.credentials - 1))
                assert fewer.lost or fewer.left or fewer.longest_wait > hours


def test_a_company_that_outruns_its_budget_loses_what_the_cap_pushes_out() -> None:
    week = simulate(Company(10_000), Fleet(credentials=1, downloaders=1))

    assert week.lost == week.arrived - week.stored - week.left > CAP
    assert week.caught_up_after is None


def test_the_document_has_every_table_as_it_is_computed() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    assert filled(text) == text, "run `python -m benchmarks.scaling --write`"
    assert {f"week of {users:,}" for users in SHOWN} < tables().keys()
    with pytest.raises(ValueError, match="no place for the table"):
        filled(text.replace("<!-- parts -->", ""))


def test_a_figure_that_drifted_is_seen() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    row = tables()["companies"][2]

    assert filled(text.replace(row, row.replace("100,000", "99,000"))) == text


def test_the_pods_are_those_of_kubernetes() -> None:
    for pods in PODS:
        (workload,) = (one for one in _objects(KUBERNETES / "base" / f"{pods.name}.yaml") if "replicas" in one["spec"])
        requests = workload["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        assert requests == {"cpu": f"{pods.millicores}m", "memory": f"{pods.mebibytes}Mi"}
        assert workload["spec"]["replicas"] == pods.replicas


def test_the_cap_of_keda_is_what_the_budget_feeds_and_not_one_more() -> None:
    (scaler,) = (
        one for one in _objects(KUBERNETES / "overlays" / "keda" / "scaling.yaml") if one["kind"] == "ScaledObject"
    )
    noted, cap = scaler["metadata"]["annotations"], scaler["spec"]["maxReplicaCount"]
    users, seconds = int(noted["ringvault/service-users"]), float(noted["ringvault/seconds-per-recording"])

    at_most, fewer, more = (
        Fleet(users, number, seconds_each=seconds).downloads(0) for number in (cap, cap - 1, cap + 1)
    )

    assert fewer < at_most == more


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    return (one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one and "spec" in one)
