"""What `make check-kubernetes` has at hand: perhaps a folder of definitions."""

import os
from pathlib import Path

import pytest

from manifests.schemas import Definitions, read_definitions


@pytest.fixture(scope="session")
def definitions() -> Definitions | None:
    folder = os.environ.get("KUBERNETES_DEFINITIONS")
    return read_definitions(Path(folder)) if folder else None
