"""What `make bench-constants` reckons: what a stretch of work has used, less what idling would have."""

from benchmarks.constants import Cost, Used


def test_a_stretch_counts_what_was_used_in_it_and_a_newcomer_from_its_start() -> None:
    before = Used(10.0, {"poller": 1.0}, transactions=100, log=1_000)
    after = Used(40.0, {"poller": 4.0, "insights": 2.0}, transactions=700, log=61_000)

    assert Cost.between(before, after) == Cost(30.0, {"poller": 3.0, "insights": 2.0}, 600, 60_000)


def test_idling_is_taken_off_at_its_pace_and_never_leaves_less_than_nothing() -> None:
    work = Cost(30.0, {"poller": 3.0, "downloader": 0.5}, transactions=600, log=60_000)
    idle = Cost(15.0, {"poller": 0.5, "downloader": 1.0}, transactions=150, log=0)

    assert work.less(idle) == Cost(30.0, {"poller": 2.0, "downloader": 0.0}, transactions=300, log=60_000)
