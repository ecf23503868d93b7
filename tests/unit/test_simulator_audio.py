"""The simulator's audio: files that a player takes, of exactly the length they are said to have."""

import io
import wave
from collections.abc import Iterator

import pytest

from simulator.audio import Audio, sha256_of
from simulator.audio_mp3 import BIT_RATE_INDEX, mp3_of_length
from simulator.audio_wav import seconds_of_size, wav_of_length, wav_of_size


def whole(audio: Audio) -> bytes:
    return b"".join(audio.chunks(0, audio.size))


def frames_of(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Walks an MP3 as a player does: each frame's bit rate, sample rate and bytes of main data that it claims."""
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    position = 0
    while position < len(body):
        header = body[position : position + 4]
        assert header[0] == 0xFF, "frame sync"
        assert header[1] == 0xFB, "MPEG-1, Layer III, no checksum"
        assert header[3] >> 6 == 3, "mono"
        bit_rate, sample_rate = rates[header[2] >> 4], (44100, 48000, 32000)[header[2] >> 2 & 3]
        side = int.from_bytes(body[position + 4 : position + 21], "big")
        first, second = side >> (136 - 18 - 12) & 0xFFF, side >> (136 - 18 - 59 - 12) & 0xFFF
        length = 144 * bit_rate * 1000 // sample_rate + (header[2] >> 1 & 1)
        main_data = -(-(first + second) // 8)
        assert 21 + main_data <= length, "the main data lies inside its frame"
        assert side >> 127 == 0, "no frame needs the bits of another"
        yield bit_rate, sample_rate, main_data
        position += length
    assert position == len(body)


@pytest.mark.parametrize("bit_rate", sorted(BIT_RATE_INDEX))
def test_an_mp3_is_a_chain_of_whole_frames_that_lasts_as_long_as_said(bit_rate: int) -> None:
    audio = mp3_of_length("a", 61_234, bit_rate)
    frames = list(frames_of(whole(audio)))
    assert {(rate, samples) for rate, samples, _ in frames} == {(bit_rate, 32000)}
    assert len(frames) * 1152 * 1000 // 32000 == audio.duration_ms
    assert abs(audio.duration_ms - 61_234) <= 18
    assert all(main_data > 0 for _, _, main_data in frames), "there is sound in every frame"


def test_a_wav_is_read_by_the_standard_library_and_lasts_as_long_as_said() -> None:
    audio = wav_of_length("a", 31_500)
    body = whole(audio)
    with wave.open(io.BytesIO(body)) as opened:
        assert opened.getnframes() * 1000 // opened.getframerate() == audio.duration_ms == 31_500
        assert opened.getnchannels() == 1
        assert len(set(opened.readframes(8000))) > 50, "there is sound"
    assert len(body) == audio.size
    assert int.from_bytes(body[4:8], "little") == len(body) - 8


def test_a_wav_can_be_ordered_by_its_size() -> None:
    audio = wav_of_size("a", 1_000_000)
    assert len(whole(audio)) == audio.size == 1_000_000
    assert seconds_of_size(1_000_000) == pytest.approx(audio.duration_ms / 1000, abs=0.001)


@pytest.mark.parametrize("audio", [mp3_of_length("a", 40_000, 40), wav_of_length("a", 40_000)])
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (10, 44), (43, 46), (44, 70_000), (63_999, 64_045), (100, 100)])
def test_any_range_is_the_same_part_of_the_whole(audio: Audio, start: int, stop: int) -> None:
    assert b"".join(audio.chunks(start, stop)) == whole(audio)[start:stop]


def test_the_same_recording_always_sounds_the_same_and_no_two_are_alike() -> None:
    assert sha256_of(mp3_of_length("a", 30_000, 32)) == sha256_of(mp3_of_length("a", 30_000, 32))
    assert sha256_of(mp3_of_length("a", 30_000, 32)) != sha256_of(mp3_of_length("b", 30_000, 32))
    assert sha256_of(wav_of_length("a", 30_000)) != sha256_of(wav_of_length("b", 30_000))
