"""The alerts that we hand out ask for metrics that there are, and somebody is told what each means."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.storage.s3_requests import REQUEST_SECONDS
from common.telemetry.metrics import REGISTRY
from services.downloader import handle, storage_gate

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def exported() -> set[str]:
    """The names as Prometheus sees them, and what is declared with them."""
    kinds = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return {f"{one.name}{end}" for one in REGISTRY.collect() for end in kinds.get(one.type, [""])}


def asked_for(text: str) -> set[str]:
    return set(re.findall(r"\bringvault_[a-z_]+", text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_there_are_and_is_explained(rule: dict[str, Any]) -> None:
    assert asked_for(rule["expr"]) <= exported()
    assert f"| `{rule['alert']}`" in OPERATIONS
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_that_is_explained_is_handed_out() -> None:
    assert set(re.findall(r"`(Ringvault[A-Za-z]+)`", OPERATIONS)) == {rule["alert"] for rule in RULES}


def test_a_storage_that_hangs_pages_and_a_hitch_that_has_passed_does_not() -> None:
    (rule,) = [rule for rule in RULES if rule["alert"] == "RingvaultDownloadsStopped"]
    (window,) = [60 * int(minutes) for minutes in re.findall(r"\[(\d+)m\]", rule["expr"])]
    # What takes all connections and says nothing: the probe, the end of what it began, and the pauses before the next.
    probe = storage_gate._PROBE_WITHIN + REQUEST_SECONDS
    pauses = storage_gate._PROBE_EVERY + handle._POSTPONED[storage_gate.StorageAway].total_seconds()

    assert window > probe + pauses
    assert 60 * int(rule["for"].removesuffix("m")) > window
