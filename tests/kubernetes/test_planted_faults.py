"""`make check-kubernetes` finds what it looks for: each fault, planted into a copy of the manifests, is named."""

import shutil
from pathlib import Path

import pytest
import yaml

from manifests.checking import check, check_example
from manifests.rendering import CannotRender
from manifests.schemas import Definitions

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
PLANTED: list[dict[str, str]] = yaml.safe_load(Path(__file__).with_name("planted_faults.yaml").read_text("utf-8"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The manifests, to be spoilt."""
    return Path(shutil.copytree(MANIFESTS, tmp_path / "kubernetes"))


def plant(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} no longer has {old!r}: plant the fault elsewhere"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("overlay", ["local", "production", "keda"])
def test_nothing_is_wrong_with_what_is_there(overlay: str, definitions: Definitions | None) -> None:
    rendered, faults = check(MANIFESTS / "overlays" / overlay, definitions)

    assert faults == []
    assert len(rendered.objects) > 20


@pytest.mark.parametrize("fault", PLANTED, ids=[one["fault"] for one in PLANTED])
def test_a_planted_fault_is_named(copied: Path, definitions: Definitions | None, fault: dict[str, str]) -> None:
    plant(copied, fault["file"], fault["old"], fault["new"])

    _, said = check(copied / "overlays" / fault["overlay"], definitions)

    assert any(fault["says"] in sentence for sentence in said), said


def test_an_authority_of_ones_own_needs_a_setting_and_no_patch(copied: Path, definitions: Definitions | None) -> None:
    setting = "AWS_CA_BUNDLE=/etc/s3-authority/ca.pem"
    plant(copied, "overlays/production/kustomization.yaml", "AWS_REGION=", f"{setting}\n      - AWS_REGION=")

    rendered, faults = check(copied / "overlays/production", definitions)

    assert faults == []
    [downloader] = [one for one in rendered.of("Deployment") if one["metadata"]["name"] == "downloader"]
    pod = downloader["spec"]["template"]["spec"]
    mounts = {one["mountPath"]: one["name"] for one in pod["containers"][0]["volumeMounts"]}
    volumes = {one["name"]: one.get("configMap") for one in pod["volumes"]}
    assert volumes[mounts["/etc/s3-authority"]] == {"name": "s3-authority", "optional": True}


def test_a_custom_resource_is_held_against_its_definition(copied: Path, definitions: Definitions | None) -> None:
    if definitions is None:
        pytest.skip("KUBERNETES_DEFINITIONS names no folder")
    plant(copied, "overlays/keda/scaling.yaml", "cooldownPeriod", "coolDownPeriod")
    plant(copied, "examples/rabbitmq/cluster.yaml", "replicas: 3", 'replicas: "three"')
    plant(copied, "examples/postgres/cluster.yaml", "poolMode: transaction", "poolMode: statement")

    assert any("'coolDownPeriod' was unexpected" in fault for fault in check(copied / "overlays/keda", definitions)[1])
    assert any("spec.replicas" in fault for fault in check_example(copied / "examples/rabbitmq", definitions)[1])
    assert any("poolMode" in fault for fault in check_example(copied / "examples/postgres", definitions)[1])


def test_a_custom_resource_without_a_definition_is_a_fault() -> None:
    _, faults = check(MANIFESTS / "overlays" / "keda", {})

    assert "has none of keda.sh/v1alpha1 ScaledObject" in " ".join(faults)


def test_what_cannot_be_rendered_says_why(copied: Path) -> None:
    plant(copied, "overlays/production/kustomization.yaml", "../../base", "../../bass")

    with pytest.raises(CannotRender, match="bass"):
        check(copied / "overlays/production", None)
