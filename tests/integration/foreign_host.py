"""Somebody else's server, which must not be sent a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from simulator.audio_wav import wav_of_length

#: Milliseconds that its audio plays.
PLAYS = 30_000


def _audio() -> bytes:
    audio = wav_of_length("foreign", PLAYS)
    return b"".join(audio.chunks(0, audio.size))


@dataclass
class ForeignServer:
    """It writes down what it is sent, and answers everything with the same audio."""

    host: str = ""
    audio: bytes = field(default_factory=_audio)
    requests: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append({"path": request.path_qs, **request.headers})
        return web.Response(body=self.audio, content_type="audio/wav")


@asynccontextmanager
async def foreign_server() -> AsyncIterator[ForeignServer]:
    """It listens while inside, on a port of its own; `host` is what `RC_MEDIA_HOSTS` would have to name."""
    server = ForeignServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.host = f"127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()
