"""Loads the `.sql` files: each block is `-- name: …`, a line that describes it, and one statement."""

import functools
import re
from importlib import resources

_BLOCK = re.compile(r"^-- name: (?P<name>\w+)\n(?P<body>.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


@functools.cache
def statements(table: str) -> dict[str, str]:
    """The statements of `sql/{table}.sql` by name."""
    return blocks_of(resources.files("common.database").joinpath("sql", f"{table}.sql").read_text(encoding="utf-8"))


def blocks_of(text: str) -> dict[str, str]:
    """The statements of such a file by name."""
    return {block["name"]: block["body"].strip() for block in _BLOCK.finditer(text)}


def tables() -> list[str]:
    """The names of all `.sql` files, so that a test can prepare every statement."""
    folder = resources.files("common.database").joinpath("sql")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))
