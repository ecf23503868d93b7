"""Fetching: what an answer must look like to be audio, and its body as chunks."""

from collections.abc import AsyncIterator

import httpx

from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask
from common.ringcentral.errors import SourceFailed
from common.telemetry.health import Work
from common.telemetry.metrics import DOWNLOADED_BYTES


def ask_for(uri: str, priority: Priority) -> Ask:
    """The request for a recording's content, which is heavy (facts 5); compressed audio would hide its length."""
    return Ask("GET", uri, Group.HEAVY, priority, headers={"Accept": "audio/*", "Accept-Encoding": "identity"})


def content_type_of(answer: httpx.Response) -> str:
    """The audio's type, when the head of the answer is one of audio; raises `SourceFailed` otherwise.

    RingCentral answers errors as JSON, at times with status 200; such a body is not a recording.
    """
    content_type: str = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if answer.status_code != 200:
        raise SourceFailed(f"the audio was answered with status {answer.status_code}", status=answer.status_code)
    if not content_type.startswith("audio/"):
        raise SourceFailed("the answer is not audio", status=200)
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise SourceFailed("the audio came compressed, although that was declined", status=200)
    if answer.headers.get("content-length") == "0":
        raise SourceFailed("the audio is empty", status=200)
    return content_type


async def chunks_of(answer: httpx.Response, work: Work) -> AsyncIterator[bytes]:
    """The body, chunk by chunk; raises `SourceFailed` when it ends early or is empty."""
    received = 0
    try:
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            DOWNLOADED_BYTES.inc(len(chunk))
            work.progress()
            yield chunk
    except httpx.HTTPError as error:
        raise SourceFailed(f"the audio broke off after {received} bytes: {type(error).__name__}") from None
    declared = answer.headers.get("content-length")
    if received == 0 or (declared is not None and declared != str(received)):
        raise SourceFailed(f"the audio has {received} bytes, {declared or 'more than none'} were announced")
