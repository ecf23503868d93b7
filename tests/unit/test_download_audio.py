"""What is found in a recording's bytes while they go by: the simulator's audio, whole, cut and damaged in many ways."""

import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.downloader.audio import Audio, Inspection
from simulator.audio import Audio as Made
from simulator.audio_mp3 import FRAME_MS, mp3_of_length
from simulator.audio_mp3_vbr import id3v2, vbr_of_length
from simulator.audio_wav import wav_of_length, wav_of_size

names = st.text(alphabet="0123456789", min_size=1, max_size=13)
lengths = st.integers(min_value=FRAME_MS * 3, max_value=60_000)
made: st.SearchStrategy[Made] = st.one_of(
    st.builds(mp3_of_length, names, lengths, st.sampled_from([32, 40, 48, 56, 64])),
    st.builds(vbr_of_length, names, lengths),
    st.builds(wav_of_length, names, lengths),
    st.builds(wav_of_size, names, st.integers(min_value=1_000, max_value=300_000)),
)
#: Where a body is cut into chunks, as fractions.
cuts = st.lists(st.floats(min_value=0, max_value=1), max_size=12)


def whole(audio: Made) -> bytes:
    return b"".join(audio.chunks(0, audio.size))


def inspected(data: bytes, at: Sequence[float] = ()) -> Audio:
    inspection = Inspection()
    for begin, end in pairwise([0, *sorted(int(place * len(data)) for place in at), len(data)]):
        inspection.feed(data[begin:end])
    assert inspection.size == len(data)
    return inspection.result()


@given(made, cuts)
def test_every_whole_recording_has_its_exact_length_and_no_doubt_however_it_arrives(
    audio: Made, at: list[float]
) -> None:
    found = inspected(whole(audio), at)

    assert found.container == ("wav" if audio.content_type == "audio/wav" else "mp3")
    assert found.doubt is None
    assert found.milliseconds is not None
    assert abs(found.milliseconds - audio.duration_ms) < 1


@given(made, st.floats(min_value=0, max_value=0.999), cuts)
def test_what_is_cut_is_doubted_or_is_as_much_shorter_as_bytes_are_missing(
    audio: Made, share: float, at: list[float]
) -> None:
    data = whole(audio)[: int(audio.size * share)]

    found = inspected(data, at)

    assert found.doubt is not None or found.milliseconds is not None
    assert found.milliseconds is None or found.milliseconds < audio.duration_ms + 1  # which is whole, cut off
    if found.container == "wav":
        assert found.missing, "a WAV tells how long it ought to be"


@given(st.binary(max_size=5_000) | st.binary(max_size=2_000).map(lambda data: b"ID3\x03\0\0\0\0\0\x10" + data), cuts)
def test_foreign_bytes_are_never_taken_for_sound_of_any_length_to_speak_of(data: bytes, at: list[float]) -> None:
    found = inspected(data, at)

    assert found.container is None or found.doubt is not None or (found.milliseconds or 0) < 1000


@given(made, st.data())
def test_bytes_changed_anywhere_never_make_it_longer_than_a_frame_more(audio: Made, data: st.DataObject) -> None:
    body = bytearray(whole(audio))
    for place in data.draw(st.lists(st.integers(min_value=44, max_value=len(body) - 1), max_size=8)):
        body[place] = data.draw(st.integers(min_value=0, max_value=255))

    found = inspected(bytes(body))

    assert found.milliseconds is None or found.milliseconds <= audio.duration_ms + 2 * FRAME_MS


def test_an_mp3_of_varying_bit_rate_is_as_long_as_its_frames_and_not_as_its_first_frame_says() -> None:
    audio = vbr_of_length("3", 30_000)

    assert inspected(whole(audio)).milliseconds == audio.duration_ms


def test_silence_in_place_of_frames_is_doubted() -> None:
    body = bytearray(whole(mp3_of_length("1", 60_000, 32)))
    body[50_000:60_000] = bytes(10_000)

    assert "are no sound" in (inspected(bytes(body)).doubt or "")


@pytest.mark.parametrize("after", [b"TAG".ljust(128, b"\0"), b"APETAGEX" + bytes(200), bytes(500), id3v2("at the end")])
def test_tags_and_padding_behind_the_sound_are_no_sound_and_no_fault(after: bytes) -> None:
    audio = mp3_of_length("1", 20_016, 40)

    assert inspected(id3v2("in front") * 2 + whole(audio) + after) == Audio("mp3", audio.duration_ms)


@pytest.mark.parametrize("after_sync", [b"\x90\x00", b"\x12\x00", b"\xe4\x00"])
@given(at=cuts)
def test_junk_behind_a_tag_that_looks_like_a_frame_of_another_kind_is_not_believed(
    after_sync: bytes, at: list[float]
) -> None:
    audio = mp3_of_length("1", 20_016, 40)
    junk = b"\xff\xfb" + after_sync + bytes(300)

    assert inspected(id3v2("in front") + junk + whole(audio), at) == Audio("mp3", audio.duration_ms)


def test_a_single_frame_is_believed_when_a_tag_follows() -> None:
    audio = mp3_of_length("1", FRAME_MS, 40)

    assert inspected(whole(audio) + b"TAG".ljust(128, b"\0")) == Audio("mp3", audio.duration_ms)


def test_a_picture_in_the_tag_that_is_larger_than_what_is_kept_is_stepped_over() -> None:
    audio = mp3_of_length("1", 20_016, 40)
    picture = 900_000
    tag = b"ID3\x03\0\0" + bytes(picture >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(picture)

    assert inspected(tag + whole(audio), [0.1, 0.3, 0.31]) == Audio("mp3", audio.duration_ms)


@pytest.mark.parametrize("kind", [b"Xing", b"Info"])
def test_the_header_of_an_mp3_is_held_against_its_frames(kind: bytes) -> None:
    audio = mp3_of_length("1", 20_016, 40)
    frames = audio.duration_ms // FRAME_MS
    first = next(iter(audio.chunks(0, audio.frame_bytes)))[:21] + kind + struct.pack(">III", 3, frames, audio.size)
    headed = first.ljust(audio.frame_bytes, b"\0") + whole(audio)

    assert inspected(headed) == Audio("mp3", audio.duration_ms)
    cut = inspected(headed[: audio.frame_bytes * 100])
    assert (cut.doubt, cut.missing) == ("its header tells 20.0 s, it has 3.6 s", True)
    longer = inspected(headed + whole(audio))
    assert (longer.doubt, longer.missing) == ("its header tells 20.0 s, it has 40.0 s", False)


@pytest.mark.parametrize("sized", [True, False])
def test_a_last_frame_that_is_cut_is_missing_when_the_source_told_no_length(sized: bool) -> None:
    inspection = Inspection()
    inspection.feed(whole(mp3_of_length("1", 20_016, 40))[:-1])

    found = inspection.result(sized=sized)

    assert (found.doubt, found.missing) == ("its last frame is cut", not sized)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0])
def test_a_wav_that_was_written_into_a_pipe_is_as_long_as_what_came(size: int) -> None:
    body = bytearray(whole(wav_of_length("1", 5_000)))
    body[40:44] = struct.pack("<I", size)

    assert inspected(bytes(body)) == Audio("wav", 5_000)


def test_a_wav_of_a_packed_coding_is_as_long_as_its_bytes_a_second_say() -> None:
    """IMA ADPCM: four bits a sample, in blocks of 256 bytes."""
    sound = bytes(256 * 100)
    form = struct.pack("<HHIIHH", 0x11, 1, 8000, 4055, 256, 4)
    body = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16) + form
    body += struct.pack("<4sI", b"data", len(sound)) + sound

    found = inspected(body)

    assert found.doubt is None
    assert found.milliseconds == pytest.approx(1000 * len(sound) / 4055)
