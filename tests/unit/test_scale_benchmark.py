"""What the scale benchmark calls a fault."""

from benchmarks.scale import LONGEST_REPORT, NOISE, SMALL, Cost, Costs, cost_of, faults_of

SIZES = (SMALL, 10 * SMALL)


def costs(first: float, last: float, name: str = "claim") -> Costs:
    return {name: {SIZES[0]: Cost(first, 1), SIZES[1]: Cost(last, 1)}}


def test_a_statement_that_costs_the_same_with_more_rows_is_good() -> None:
    assert list(faults_of(costs(10.0, 14.9), SIZES, set())) == []


def test_a_statement_that_grows_by_more_than_half_is_a_fault_unless_that_is_noise() -> None:
    assert list(faults_of(costs(10.0, 15.1), SIZES, set())) == ["FAULT claim: grows by 1.5 times"]
    assert list(faults_of(costs(0.1, 0.1 + NOISE), SIZES, set())) == []


def test_a_report_may_grow_but_not_beyond_a_second() -> None:
    assert list(faults_of(costs(1.0, LONGEST_REPORT), SIZES, {"claim"})) == []
    assert list(faults_of(costs(1.0, LONGEST_REPORT + 1), SIZES, {"claim"})) == [
        "FAULT claim: takes longer than a second"
    ]


def test_a_table_that_is_read_as_a_whole_is_a_fault_wherever_it_stands_in_the_plan() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "insight_events_2026_03"}
    small = {"Node Type": "Seq Scan", "Relation Name": "call_log_cursors"}
    index = {"Node Type": "Index Only Scan", "Index Name": "calls_by_start", "Relation Name": "calls"}
    plan = {
        "Node Type": "Append",
        "Shared Hit Blocks": 3,
        "Shared Read Blocks": 4,
        "Plans": [index, small, {"Node Type": "Limit", "Plans": [scan]}],
    }

    cost = cost_of(plan, 1_000_000, set())

    assert (cost.milliseconds, cost.buffers, cost.indexes) == (1.0, 7, {"calls_by_start"})
    assert cost.scanned == {"insight_events_2026_03"}
    by_size = {"claim": {SIZES[0]: Cost(1.0, 1), SIZES[1]: cost}}
    assert list(faults_of(by_size, SIZES, set())) == [
        f"FAULT claim: reads all of insight_events_2026_03 at {SIZES[1]:,} rows"
    ]


def test_a_partition_with_few_rows_may_be_read_as_a_whole() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "insight_events_2026_03"}
    plan = {"Shared Hit Blocks": 1, "Shared Read Blocks": 0, **scan}

    assert cost_of(plan, 1, {"insight_events_2026_03"}).scanned == set()
    assert cost_of(plan, 1, {"insight_events_2026_04"}).scanned == {"insight_events_2026_03"}


def test_a_small_table_may_be_read_as_a_whole() -> None:
    by_size = {"claim": {1_000: Cost(1.0, 1, scanned={"recordings"}), 10_000: Cost(1.0, 1)}}

    assert list(faults_of(by_size, (1_000, 10_000), set())) == []
