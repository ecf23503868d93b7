"""`STORAGE_URL`: what is taken, and how a faulty one is told."""

from pathlib import Path

import pytest

from common.storage.file_system import FileStorage
from common.storage.open import open_storage


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/prefix",
        "https://bucket/prefix",
        "s3:///prefix",
        "s3://",
        "s3://b/pre fix",
        "s3://b/a//b",
        "s3://b/../c",
        "s3://b/p?x=1",
        "s3://b/" + "p" * 500,
        "s3://host:9000/b",
        "s3://AKIAEXAMPLE:verysecret@b/p",
        "file://folder/x",
        "file:relative",
        "file:///",
        "file:///a/../b",
        "file:///a%00b",
        "s3://[b/p",
    ],
)
def test_a_faulty_url_is_refused_in_one_sentence_that_names_the_setting(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^STORAGE_URL must be s3://bucket/prefix or file:///folder: [^\n]+\.$"
    ) as told:
        open_storage(url)

    assert "verysecret" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["s3://bucket", "s3://bucket/", "s3://Bucket_1.x/prefix/deeper/", "file://localhost/data"]
)
def test_a_url_of_either_kind_is_taken(url: str) -> None:
    open_storage(url, region="us-east-1")


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    async with open_storage(f"file://{tmp_path}/with%20space") as storage:
        assert isinstance(storage, FileStorage)
        await storage.check()

    assert (tmp_path / "with space").is_dir()
