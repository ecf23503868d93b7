"""What a download believes of the heads of answers: whatever it goes on with is the same audio at the same place."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.errors import SourceFailed
from services.downloader.ranges import Told, content_type_of, content_type_of_rest, length_of, reply_to_range, told_by

TOLD = Told(1000, '"v1"')
UNSIZED = Told(None, '"v1"')

#: Replies that a server may give to `bytes=400-`, right and wrong in every way that comes to mind, and then some.
numbers = st.integers(min_value=-5, max_value=1100) | st.sampled_from([0, 399, 400, 401, 600, 999, 1000, 10**19])
content_ranges = (
    st.builds(
        "{}{}-{}/{}".format,
        st.sampled_from(["bytes ", "bytes=", "Bytes ", "items ", ""]),
        numbers,
        numbers,
        st.one_of(numbers.map(str), st.just("*")),
    )
    | st.text(max_size=30)
    | st.just("bytes 400-999/1000")
)
heads = st.fixed_dictionaries(
    {},
    optional={
        "content-range": content_ranges,
        "content-length": numbers.map(str) | st.text(max_size=5),
        "etag": st.sampled_from(['"v1"', '"v2"', 'W/"v1"', "v1", ""]),
    },
)


@given(st.sampled_from([TOLD, UNSIZED]), st.sampled_from([200, 206]), heads)
def test_a_reply_goes_on_only_where_we_are_and_begins_anew_only_with_the_whole(
    before: Told, status: int, headers: Mapping[str, str]
) -> None:
    try:
        whole = reply_to_range(before, 400, status, headers)
    except SourceFailed:
        return

    if whole is not None:
        assert status == 206
        unit, _, told = headers["content-range"].strip().partition(" ")
        span, _, total = told.partition("/")
        first, _, last = span.partition("-")
        assert (unit.lower(), int(first)) == ("bytes", 400)
        assert 400 <= int(last) < whole
        assert (before.total, total) in {(1000, "1000"), (1000, "*"), (None, str(whole))}
        assert headers["etag"] == '"v1"'
        assert headers.get("content-length", "none") in {str(int(last) - 399)} | {
            value for value in [headers.get("content-length", "none")] if not value.isascii() or not value.isdigit()
        }
    else:
        assert status == 200
        assert "content-range" not in headers
        changed = headers.get("etag", '"v1"') != '"v1"'
        assert changed or length_of(headers) == before.total


def test_the_rest_goes_on() -> None:
    headers = {"content-range": "bytes 400-999/1000", "content-length": "600", "etag": '"v1"'}

    assert reply_to_range(TOLD, 400, 206, headers) == 1000


def test_the_total_that_a_part_tells_is_known_from_then_on() -> None:
    assert reply_to_range(UNSIZED, 400, 206, {"content-range": "bytes 400-499/1000", "etag": '"v1"'}) == 1000
    with pytest.raises(SourceFailed, match="of how much"):
        reply_to_range(UNSIZED, 400, 206, {"content-range": "bytes 400-499/*", "etag": '"v1"'})


def test_a_part_repeats_its_etag_and_need_not_repeat_its_type() -> None:
    with pytest.raises(SourceFailed, match="without its ETag"):
        reply_to_range(TOLD, 400, 206, {"content-range": "bytes 400-999/1000"})
    assert content_type_of_rest(206, {}, "audio/mpeg") == "audio/mpeg"
    assert content_type_of_rest(206, {"content-type": "audio/wav"}, "audio/mpeg") == "audio/wav"
    with pytest.raises(SourceFailed, match="not audio"):
        content_type_of_rest(206, {"content-type": ""}, "audio/mpeg")
    with pytest.raises(SourceFailed, match="not audio"):
        content_type_of_rest(200, {}, "audio/mpeg")  # the whole anew: it may be of another type.


def test_the_bytes_of_the_range_with_status_200_are_not_taken_for_the_whole() -> None:
    with pytest.raises(SourceFailed, match="as if it were the whole"):
        reply_to_range(TOLD, 400, 200, {"content-length": "600", "etag": '"v1"'})


def test_the_whole_of_changed_audio_begins_anew_whatever_its_length() -> None:
    assert reply_to_range(TOLD, 400, 200, {"content-length": "700", "etag": '"v2"'}) is None


def test_several_parts_at_once_are_no_part() -> None:
    with pytest.raises(SourceFailed, match="without telling which"):
        reply_to_range(TOLD, 400, 206, {"content-length": "600", "etag": '"v1"'})


@pytest.mark.parametrize(
    ("etag", "accepts", "validator"),
    [
        ('"v1"', "bytes", '"v1"'),
        ('"v1"', "", '"v1"'),
        ('"v1"', "none", None),
        ('W/"v1"', "bytes", None),
        ("v1", "bytes", None),
        ("", "bytes", None),
        ('"v1" "v2"', "bytes", None),
    ],
)
def test_only_a_strong_validator_is_one(etag: str, accepts: str, validator: str | None) -> None:
    headers = {"content-length": "1000", "etag": etag, "accept-ranges": accepts}

    assert told_by(200, headers) == Told(1000, validator)


def test_a_part_that_nobody_asked_for_is_the_begin_of_the_whole_or_nothing() -> None:
    assert told_by(206, {"content-range": "bytes 0-499/1000"}) == Told(1000, None)
    with pytest.raises(SourceFailed, match="another part"):
        told_by(206, {"content-range": "bytes 500-999/1000"})
    with pytest.raises(SourceFailed, match="of how much"):
        told_by(206, {"content-range": "bytes 0-99/*"})


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, {"content-type": "application/json"}, "not audio"),
        (200, {}, "not audio"),
        (200, {"content-type": "audio/"}, "not audio"),
        (200, {"content-type": "audio/mpeg\n+49 123"}, "not audio"),
        (200, {"content-type": "audio/" + "x" * 61}, "not audio"),
        (200, {"content-type": "audio/mpeg", "content-length": "0"}, "empty"),
        (200, {"content-type": "audio/mpeg", "content-encoding": "gzip"}, "compressed"),
        (204, {"content-type": "audio/mpeg"}, "status 204"),
    ],
)
def test_a_head_that_is_not_one_of_audio_is_refused(status: int, headers: dict[str, str], reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        content_type_of(status, headers)


def test_the_type_is_told_without_its_parameters() -> None:
    assert content_type_of(200, {"content-type": "Audio/MPEG; charset=utf-8"}) == "audio/mpeg"
    assert content_type_of(200, {"content-type": "audio/vnd.wave"}) == "audio/vnd.wave"
