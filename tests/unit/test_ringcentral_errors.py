"""Each answer of RingCentral becomes the one error that says what to do."""

from typing import Any

import pytest

from common.ringcentral.errors import (
    CredentialRefused,
    Forbidden,
    Missing,
    Rejected,
    RingCentralError,
    SourceFailed,
    Throttled,
    Unauthenticated,
    code_of,
    error_of,
    pause_asked_by,
    retry_after,
)


def body(nested: str | None, top: str | None = None, **extra: str) -> dict[str, Any]:
    """An error body as it is on the wire: nested, and once more at the top level, where it may differ."""
    message = "for people only"
    errors = [{"errorCode": nested, "message": message, **extra}] if nested else []
    return {"errorCode": top or nested, "message": message, "errors": errors}


@pytest.mark.parametrize(
    ("status", "answered", "kind"),
    [
        (302, None, SourceFailed),
        (400, body("CMN-101", "InvalidParameter"), Rejected),
        (400, body("CMN-102"), Missing),
        (401, body("OAU-213", "TokenInvalid"), Unauthenticated),
        (403, body("CMN-401", "InsufficientPermissions"), Forbidden),
        (403, body("CMN-101"), Rejected),
        (404, body("RAH-3001"), Missing),
        (405, None, Rejected),
        (408, None, SourceFailed),
        (416, body("CMN-107"), Rejected),
        (429, body("CMN-301"), Throttled),
        (500, body("CMN-203"), SourceFailed),
        (502, None, SourceFailed),
        (503, body("CMN-201"), SourceFailed),
    ],
)
def test_a_status_and_a_code_become_one_kind_of_error(
    status: int, answered: object, kind: type[RingCentralError]
) -> None:
    error = error_of(status, {}, answered)

    assert type(error) is kind
    assert error.status == status


def test_the_nested_code_counts_more_than_the_one_at_the_top() -> None:
    assert code_of(body("CMN-401", "InsufficientPermissions")) == ("CMN-401", None)


def test_the_top_level_code_counts_when_none_is_nested() -> None:
    assert code_of(body(None, "AGW-404")) == ("AGW-404", None)


def test_the_words_of_oauth_come_last() -> None:
    nested = {"error": "invalid_grant", "errors": [{"errorCode": "OAU-210"}]}
    assert code_of(nested) == ("OAU-210", None)
    assert code_of({"error": "invalid_grant", "errors": []}) == ("invalid_grant", None)


@pytest.mark.parametrize("answered", [None, [], "gone", 7, {"errors": "none"}, {"errors": [None, 3, {"errorCode": 9}]}])
def test_a_body_that_is_no_error_has_no_code(answered: object) -> None:
    assert code_of(answered) == (None, None)
    assert str(error_of(500, {}, answered)) == "RingCentral answered 500"


def test_a_missing_scope_is_told_by_name_and_no_other_user_is_of_help() -> None:
    error = error_of(403, {}, body("CMN-401", "InsufficientPermissions", permissionName="ReadCallLog"))

    assert isinstance(error, Forbidden)
    assert (error.permission, error.of_user) == ("ReadCallLog", False)
    assert "CMN-401, ReadCallLog" in str(error)
    assert "scope of the app" in str(error)


@pytest.mark.parametrize("code", ["CMN-408", "RAH-3005", "InsufficientPermissions"])
def test_a_missing_permission_is_told_by_name_and_another_user_may_have_it(code: str) -> None:
    error = error_of(403, {}, body(code, permissionName="ReadCompanyCallRecording"))

    assert isinstance(error, Forbidden)
    assert error.of_user
    assert f"{code}, ReadCompanyCallRecording" in str(error)
    assert "permission of the user" in str(error)


def test_texts_of_ringcentral_are_not_passed_on() -> None:
    told = {
        "errorCode": "call +1 202 555 0100 now",
        "message": "+12025550100",
        "permissionName": "Jane Doe, +12025550100",
        "errors": [{"errorCode": "please call us", "message": "+12025550100"}],
    }
    for status in (400, 401, 403, 404, 429, 500):
        assert "555" not in str(error_of(status, {}, told))


def test_throttling_says_how_long_to_wait() -> None:
    error = error_of(429, {"retry-after": "17"}, body("CMN-301"))

    assert isinstance(error, Throttled)
    assert error.retry_after == 17


def test_a_failing_source_says_how_long_to_wait_only_when_it_was_told() -> None:
    told, untold = error_of(503, {"retry-after": "9"}, None), error_of(503, {}, None)

    assert isinstance(told, SourceFailed)
    assert isinstance(untold, SourceFailed)
    assert (told.retry_after, untold.retry_after) == (9, None)


@pytest.mark.parametrize("told", ["soon", "", "-1", "nan", "inf", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_nonsense_counts_as_half_a_minute(told: str) -> None:
    assert retry_after({"retry-after": told}) == 30


def test_every_error_is_one_of_the_tree() -> None:
    for kind in (Throttled, Unauthenticated, CredentialRefused, Forbidden, Missing, Rejected, SourceFailed):
        assert issubclass(kind, RingCentralError)


def test_the_pause_that_was_asked_for_is_told_for_every_kind_of_error() -> None:
    assert pause_asked_by(Throttled("", retry_after=60)) == 60
    assert pause_asked_by(SourceFailed("", retry_after=300)) == 300
    assert pause_asked_by(SourceFailed("")) == pause_asked_by(Missing("")) == pause_asked_by(ValueError()) == 0
