"""Which endpoint a request goes to."""

import pytest

from common.ringcentral.endpoints import endpoint_of


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/restapi/v1.0/account/~/call-log", "GET /restapi/v1.0/account/*/call-log"),
        ("/restapi/v1.0/account/700100200/call-log", "GET /restapi/v1.0/account/*/call-log"),
        ("/restapi/v1.0/account/1/call-log/Z7-x_Q", "GET /restapi/v1.0/account/*/call-log/*"),
        ("/restapi/v1.0/account/1/recording/42/content", "GET /restapi/v1.0/account/*/recording/*/content"),
        (
            "/ai/ringsense/v1/public/accounts/~/domains/pbx/records/a1B2/insights",
            "GET /ai/ringsense/v1/public/accounts/*/domains/pbx/records/*/insights",
        ),
        ("", "GET "),
    ],
)
def test_an_endpoint_is_named_without_ids(path: str, endpoint: str) -> None:
    assert endpoint_of("GET", path) == endpoint


def test_what_is_done_to_a_thing_is_another_endpoint() -> None:
    path = "/restapi/v1.0/subscription/5b-7"
    assert endpoint_of("DELETE", path) != endpoint_of("GET", path)
