"""`docker-compose.yml` hands each process settings of its own, and whoever opens the storage all that it may need."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import Settings, StorageSettings
from manifests.settings import MODELS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def processes() -> dict[str, type[Settings]]:
    """What the containers of ours read, by the name of the service."""
    commands = {name: tuple(service.get("command", ())) for name, service in COMPOSE["services"].items()}
    return {name: MODELS[command] for name, command in commands.items() if command in MODELS}


@pytest.mark.parametrize(("name", "model"), processes().items())
def test_what_is_handed_on_is_a_setting_of_the_process(name: str, model: type[Settings]) -> None:
    handed_on = COMPOSE["services"][name]["environment"].keys()

    assert handed_on <= {field.upper() for field in model.model_fields}


@pytest.mark.parametrize("name", ["downloader", "demo"])
def test_whoever_opens_the_storage_gets_all_its_settings_and_the_file_that_one_names(name: str) -> None:
    service, wanted = COMPOSE["services"][name], {field.upper() for field in StorageSettings.model_fields}
    assert issubclass(processes()[name], StorageSettings)

    assert wanted <= service["environment"].keys()
    assert all(f"\n#{setting}=" in EXAMPLE for setting in wanted)
    [config] = service["configs"]
    assert service["environment"]["AWS_CA_BUNDLE"] == f"${{AWS_CA_BUNDLE:+/{config}}}"
    assert COMPOSE["configs"][config] == {"file": "${AWS_CA_BUNDLE:-/dev/null}"}
