"""What an S3 server's refusal is called: by status, then by code."""

import pytest

from common.storage.s3_refusals import refusal

PLACE = "The storage s3://b at 127.0.0.1:1"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "404 NoSuchBucket: the bucket does not exist: create it"),
        (404, "", "404: check the bucket in STORAGE_URL"),
        (403, "SignatureDoesNotMatch", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (403, "RequestTimeTooSkewed", "clocks"),
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
        (413, "Whatever", "raise its limit"),
        (503, "SlowDown", "503 SlowDown: the server is in trouble: try again later"),
        (400, "InvalidKey", "prefix in STORAGE_URL"),
        (400, "EntityTooSmall", "larger parts than 5 MiB"),
        (411, "MissingContentLength", "AWS_REQUEST_CHECKSUM_CALCULATION"),
        (501, "NotImplemented", "S3_SERVER_SIDE_ENCRYPTION"),
        (418, "", "418: see the server's own log"),
    ],
)
def test_each_refusal_says_what_to_mend(status: int, code: str, words: str) -> None:
    sentence = refusal(PLACE, "a write", status, code)

    assert sentence.startswith(f"{PLACE} refused a write with ")
    assert words in sentence
    assert sentence.endswith(".")


def test_prose_in_place_of_a_code_is_left_out() -> None:
    assert "AKIA" not in refusal(PLACE, "a write", 403, "The key AKIA123 is unknown\nto us")
