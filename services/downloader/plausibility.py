"""Whether audio that arrived whole is the recording. Pure.

What may be held against the length of the sound that was counted in it, best first:

| evidence | says |
|---|---|
| the file's own header (WAV, MP3 with Xing or VBRI) | that no bytes are missing, though not that it is the right file |
| `recordingDurationMs` of the insights | how long the recording is |
| the call's duration | an upper bound only: ringing, holding, parts recorded on demand, legs of a transfer |
| the recording's metadata | how long the recording is, in whole seconds, for a heavy request |

So the metadata is asked for on suspicion alone: of what is odd in itself, what contradicts the insights, what is longer
than the call, what is much shorter than the call as long as no insights tell the length, and then also of what ended
with its connection, which a lost one does as well. What provably lacks sound is beyond what it can clear up.
"""

from dataclasses import dataclass
from typing import Final, Literal

from common.storage.object_names import EXTENSIONS
from services.downloader.audio import Audio

#: Milliseconds by which two tellings of one length may differ: the metadata has whole seconds, rounded or cut off, and
#: a coder adds up to a quarter of a second.
TOLERANCE: Final = 2000.0
#: Milliseconds that sound which is odd in itself may lack: the half of a second that the metadata may be rounded up by,
#: and the frame that is cut.
_CUT: Final = 600.0
#: Milliseconds, and the fraction of the call, that a whole recording may lack without suspicion: ringing. A wider one
#: would let pass what is half; a narrower one would cost a second request for most calls.
RINGING: Final = 10_000.0
RINGING_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the recording's length, in milliseconds."""

    #: `recordingDurationMs` of the insights.
    recording_ms: float | None = None
    #: The duration of the call, or of the leg.
    call_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`good`; `odd`, which the metadata can clear up; or `bad`, which it cannot. The reason is a sentence's begin."""

    kind: Literal["good", "odd", "bad"]
    reason: str = ""


GOOD: Final = Verdict("good")


def judge(audio: Audio, content_type: str, known: Known, *, framed: bool = True) -> Verdict:
    """Judge whole audio by itself and by what is known without asking.

    `framed` says that the source told where the audio ends; else only the connection ended.
    """
    hopeless = _hopeless(audio, content_type)
    if hopeless is not None:
        return Verdict("bad", hopeless)
    if audio.missing:
        return Verdict("bad", audio.doubt or "some of its sound is missing")
    odd = audio.doubt or _contradiction(audio.milliseconds or 0.0, known)
    if odd is None and not framed and known.recording_ms is None:
        odd = f"it plays {_seconds(audio.milliseconds or 0.0)}, and ended with the connection"
    return GOOD if odd is None else Verdict("odd", odd)


def _contradiction(length: float, known: Known) -> str | None:
    """What speaks against that length."""
    if known.recording_ms is not None:
        near = abs(length - known.recording_ms) <= TOLERANCE
        return None if near else f"it plays {_seconds(length)}, the insights tell {_seconds(known.recording_ms)}"
    if known.call_ms is None:
        return f"it plays {_seconds(length)}, and nothing tells how long it ought to be"
    least = known.call_ms - max(RINGING, RINGING_SHARE * known.call_ms)
    if least <= length <= known.call_ms + TOLERANCE:
        return None
    return f"it plays {_seconds(length)}, the call took {_seconds(known.call_ms)}"


def judge_by_metadata(audio: Audio, odd: Verdict, seconds: float | None) -> Verdict:
    """Clear up what is odd by the length in the recording's metadata, None when RingCentral tells none."""
    length = audio.milliseconds or 0.0
    if seconds is None:
        return Verdict("bad", f"{odd.reason}; RingCentral tells no length")
    least = seconds * 1000 - (TOLERANCE if audio.doubt is None else _CUT)
    if least <= length <= seconds * 1000 + TOLERANCE:
        return GOOD
    return Verdict("bad", f"{odd.reason}; RingCentral tells {_seconds(seconds * 1000)}")


def _hopeless(audio: Audio, content_type: str) -> str | None:
    """What is wrong whatever the length."""
    if audio.container is None or audio.milliseconds is None:
        return audio.doubt or "it is no audio that can be read"
    sent_as = EXTENSIONS.get(content_type)  # by which the object is named.
    if audio.container != sent_as and (sent_as is not None or audio.container in EXTENSIONS.values()):
        return f"it is {audio.container}, and was sent as {content_type}"
    return None if audio.milliseconds > 0 else "it plays no time at all"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s"
