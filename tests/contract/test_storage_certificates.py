"""Whom an S3 server's certificate must come from: those that everybody trusts, or whom AWS_CA_BUNDLE names."""

from pathlib import Path

import pytest

from common.settings import StorageSettings, read_settings
from common.storage.from_settings import storage_of
from common.storage.interface import StorageError
from private_servers.s3 import RcloneS3
from tests.contract.storage_servers import BUCKET

pytestmark = pytest.mark.usefixtures("own_clients")


def settings_of(server: RcloneS3, **more: str) -> StorageSettings:
    environment = {
        "STORAGE_URL": f"s3://{BUCKET}",
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_REGION": server.region,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
    }
    return read_settings(StorageSettings, environment | more)


async def test_an_authority_of_ones_own_is_trusted_when_its_file_is_named(
    rclone_tls: RcloneS3, certificate: tuple[Path, Path]
) -> None:
    async with storage_of(settings_of(rclone_tls, AWS_CA_BUNDLE=str(certificate[0]))) as storage:
        await storage.check()


@pytest.mark.parametrize("empty", [None, ""])
async def test_without_it_the_certificate_is_not_trusted_and_told_of(
    rclone_tls: RcloneS3, empty: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one as well, as a line without a value in .env gives it."""
    if empty is not None:
        monkeypatch.setenv("AWS_CA_BUNDLE", empty)
    async with storage_of(settings_of(rclone_tls)) as storage:
        with pytest.raises(StorageError, match=r"^[^\n]*certificate[^\n]*AWS_CA_BUNDLE\.$"):
            await storage.check()


@pytest.mark.parametrize(("written", "why"), [(None, "FileNotFoundError"), ("no certificate", "SSLError")])
async def test_a_file_that_holds_no_certificate_is_told_of_before_anything_is_asked(
    rclone_tls: RcloneS3, tmp_path: Path, written: str | None, why: str
) -> None:
    file = tmp_path / "authority.pem"
    if written is not None:
        file.write_text(written)

    with pytest.raises(StorageError, match=rf"^[^\n]*AWS_CA_BUNDLE names no file [^\n]*\({why}\)\.$"):
        async with storage_of(settings_of(rclone_tls, AWS_CA_BUNDLE=str(file))):
            pass
