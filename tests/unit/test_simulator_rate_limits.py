"""The simulator's budget: a sliding window, and a penalty that every request restarts."""

from simulator.rate_limits import Bucket, RateLimits, most_in_a_window


def bucket() -> Bucket:
    return Bucket(limit=10, window=60.0, penalty=60.0)


def test_ten_requests_are_granted_and_the_eleventh_is_refused() -> None:
    heavy = bucket()
    assert [heavy.admit(float(second)) for second in range(11)] == [True] * 10 + [False]


def test_the_window_slides_so_a_place_is_free_when_its_request_is_sixty_seconds_old() -> None:
    heavy = bucket()
    for second in range(10):
        heavy.admit(float(second))
    assert heavy.admit(60.0)
    assert not heavy.admit(60.5)


def test_asking_again_during_the_penalty_restarts_it() -> None:
    heavy = bucket()
    for _ in range(11):
        heavy.admit(0.0)
    assert not heavy.admit(59.0)
    assert not heavy.admit(118.0)
    assert heavy.admit(178.0)


def test_waiting_out_the_penalty_opens_the_group() -> None:
    heavy = bucket()
    for _ in range(11):
        heavy.admit(0.0)
    assert heavy.admit(60.0)
    assert heavy.refused == 1


def test_the_most_in_a_window_is_that_of_any_window_not_only_of_whole_minutes() -> None:
    assert most_in_a_window([0.0, 50.0, 55.0, 61.0, 62.0, 109.0], 60.0) == 5
    assert most_in_a_window([], 60.0) == 0
    assert most_in_a_window([0.0, 60.0], 60.0) == 1


def test_the_most_in_a_window_counts_refused_requests_too_or_it_could_never_exceed_the_limit() -> None:
    heavy = bucket()
    for _ in range(13):
        heavy.admit(0.0)
    assert (heavy.granted, heavy.refused, heavy.most_in_a_window()) == (10, 3, 13)


def test_speed_shortens_window_and_penalty() -> None:
    limits = RateLimits(speed=60)
    heavy = limits.bucket("user", "app", "heavy")
    assert (heavy.limit, heavy.window, heavy.penalty) == (10, 1.0, 1.0)


def test_users_apps_and_groups_have_budgets_of_their_own() -> None:
    limits = RateLimits(speed=1)
    for _ in range(11):
        limits.bucket("one", "app", "heavy").admit(0.0)
    for other in (("two", "app", "heavy"), ("one", "other", "heavy"), ("one", "app", "light")):
        assert limits.bucket(*other).admit(0.0)


def test_a_changed_limit_counts_at_once_for_known_users() -> None:
    limits = RateLimits(speed=1)
    heavy = limits.bucket("user", "app", "heavy")
    limits.set_limits({"heavy": 2})
    assert [heavy.admit(0.0) for _ in range(3)] == [True, True, False]


def refusals_of(bucket: Bucket) -> tuple[int, int, int]:
    return bucket.over_limit, bucket.closure.on_the_wire, bucket.closure.later


def test_requests_on_the_wire_when_a_429_is_answered_are_counted_apart_from_later_ones() -> None:
    heavy = bucket()
    for _ in range(11):
        heavy.admit(0.0)
    assert not heavy.admit(0.3), "the first 429 has not been answered yet"
    heavy.closure.answered(1.0)
    assert not heavy.admit(1.04)
    heavy.closure.answered(2.0)  # that of the second one: nobody knows less since.
    assert not heavy.admit(2.01)
    assert refusals_of(heavy) == (1, 2, 1)


def test_a_penalty_out_of_the_blue_closes_the_group_and_is_no_refusal_itself() -> None:
    heavy = bucket()
    heavy.penalise(0.0)
    heavy.closure.answered(0.0)
    assert not heavy.admit(59.0)
    assert not heavy.admit(118.0), "the penalty began anew"
    assert heavy.admit(178.0)
    assert refusals_of(heavy) == (0, 0, 2)


def test_refusals_add_up_over_all_buckets_and_the_whole_service() -> None:
    limits = RateLimits(speed=1)
    for _ in range(11):
        limits.bucket("one", "app", "heavy").admit(0.0)
    limits.everything.begin(10.0)
    limits.everything.refuse(1.0)
    limits.everything.answered(2.0)
    limits.everything.refuse(3.0)
    assert limits.refusals() == {
        "refused": 3,
        "refused_over_limit": 1,
        "refused_on_the_wire": 1,
        "refused_later": 1,
    }
