"""Whether audio is the recording: what clears it, what casts doubt, and what only RingCentral's metadata can tell."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.storage.object_names import recording_object_name
from services.downloader.audio import Audio
from services.downloader.plausibility import GOOD, TOLERANCE, Known, judge, judge_by_metadata

lengths = st.floats(min_value=100, max_value=4 * 3600 * 1000)


@given(lengths, st.floats(min_value=-TOLERANCE, max_value=TOLERANCE), st.none() | lengths)
def test_what_is_as_long_as_the_insights_say_is_good_whatever_the_call_took(
    length: float, off: float, call_ms: float | None
) -> None:
    assert judge(Audio("mp3", length), "audio/mpeg", Known(max(0.0, length + off), call_ms)) == GOOD


@given(lengths, lengths)
def test_a_length_that_nothing_confirms_is_never_simply_good(length: float, call_ms: float) -> None:
    verdict = judge(Audio("wav", length), "audio/wav", Known(None, call_ms))

    near = call_ms - max(10_000, call_ms / 5) <= length <= call_ms + TOLERANCE
    assert (verdict == GOOD) == near
    assert verdict.kind in {"good", "odd"}


@given(lengths)
def test_a_part_of_a_call_is_good_when_the_metadata_says_the_same(length: float) -> None:
    audio, known = Audio("mp3", length), Known(None, 10 * length + 60_000)
    odd = judge(audio, "audio/mpeg", known)

    assert odd.kind == "odd"
    assert judge_by_metadata(audio, odd, round(length / 1000)) == GOOD
    assert judge_by_metadata(audio, odd, int(length / 1000)) == GOOD
    assert judge_by_metadata(audio, odd, length / 1000 + 5).kind == "bad"
    assert judge_by_metadata(audio, odd, None).kind == "bad"


@pytest.mark.parametrize(
    ("audio", "known", "reason"),
    [
        (Audio("mp3", 9000.0, "its last frame is cut"), Known(9000, 10_000), "its last frame is cut"),
        (Audio("mp3", 9000.0), Known(30_000, 10_000), "it plays 9.0 s, the insights tell 30.0 s"),
        (Audio("mp3", 90_000.0), Known(None, 60_000), "it plays 90.0 s, the call took 60.0 s"),
        (Audio("mp3", 9000.0), Known(None, None), "it plays 9.0 s, and nothing tells how long it ought to be"),
    ],
)
def test_what_is_odd_is_said(audio: Audio, known: Known, reason: str) -> None:
    verdict = judge(audio, "audio/mpeg", known)

    assert (verdict.kind, verdict.reason) == ("odd", reason)


@given(lengths, st.none() | lengths)
def test_what_provably_lacks_sound_is_bad_whatever_its_length(length: float, recording_ms: float | None) -> None:
    audio = Audio("wav", length, "its header tells more", missing=True)

    assert judge(audio, "audio/wav", Known(recording_ms, length)).kind == "bad"


@pytest.mark.parametrize(("seconds", "kind"), [(57, "good"), (58, "bad")])
def test_audio_that_is_cut_may_lack_what_the_metadata_rounds_and_no_second(seconds: int, kind: str) -> None:
    audio = Audio("mp3", 57_000.0, "its last frame is cut")
    odd = judge(audio, "audio/mpeg", Known(None, 60_000))

    assert (odd.kind, judge_by_metadata(audio, odd, seconds).kind) == ("odd", kind)


def test_what_ended_with_its_connection_is_odd_unless_the_insights_tell_its_length() -> None:
    audio = Audio("mp3", 58_000.0)

    assert judge(audio, "audio/mpeg", Known(None, 60_000), framed=False).kind == "odd"
    assert judge(audio, "audio/mpeg", Known(58_000, 60_000), framed=False) == GOOD


def test_metadata_that_disagrees_is_told_with_the_suspicion() -> None:
    audio = Audio("mp3", 9000.0)
    odd = judge(audio, "audio/mpeg", Known(30_000, 40_000))

    assert judge_by_metadata(audio, odd, 30).reason == (
        "it plays 9.0 s, the insights tell 30.0 s; RingCentral tells 30.0 s"
    )


@pytest.mark.parametrize(
    ("audio", "content_type", "reason"),
    [
        (Audio(None, None, "its WAV header is not whole"), "audio/wav", "its WAV header is not whole"),
        (Audio("wav", 60_000.0), "audio/mpeg", "it is wav, and was sent as audio/mpeg"),
        (Audio("mp3", 60_000.0), "audio/ogg", "it is mp3, and was sent as audio/ogg"),
        (Audio("oggopus", 60_000.0), "audio/mpeg", "it is oggopus, and was sent as audio/mpeg"),
        (Audio("wav", 0.0), "audio/wav", "it plays no time at all"),
    ],
)
def test_what_no_metadata_can_clear_is_bad_at_once(audio: Audio, content_type: str, reason: str) -> None:
    verdict = judge(audio, content_type, Known(60_000, 60_000))

    assert (verdict.kind, verdict.reason) == ("bad", reason)


@pytest.mark.parametrize(
    ("container", "content_type"),
    [
        ("mp3", "audio/mp3"),
        ("mp3", "audio/mpga"),
        ("mp3", "audio/x-mp3"),
        ("wav", "audio/x-wav"),
        ("wav", "audio/wave"),
        ("wav", "audio/vnd.wave"),
    ],
)
def test_other_names_of_the_type_are_the_type_and_name_the_object_alike(container: str, content_type: str) -> None:
    name = recording_object_name("1", "pbx", datetime(2026, 3, 9, tzinfo=UTC), "2", content_type)

    assert judge(Audio(container, 60_000.0), content_type, Known(60_000, None)) == GOOD
    assert name.endswith(f".{container}")


def test_another_container_under_its_own_type_is_good() -> None:
    assert judge(Audio("oggopus", 60_000.0), "audio/ogg", Known(60_000, None)) == GOOD
