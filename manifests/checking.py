"""Everything that is checked of one kustomization, as sentences."""

from pathlib import Path

from manifests.network import network_faults
from manifests.pods import pod_faults, service_faults
from manifests.rendering import Rendered, render
from manifests.scaling import scaling_faults
from manifests.schemas import Definitions, is_custom, schema_faults
from manifests.settings import is_service, setting_faults, written_down
from manifests.wiring import wiring_faults
from manifests.workloads import environment_of, workloads_of


def check(folder: Path, definitions: Definitions | None) -> tuple[Rendered, list[str]]:
    """An overlay: all of it. Without definitions custom resources are held against our own rules alone."""
    rendered = render(folder)
    faults = _schemas(rendered, definitions)
    # What the schemas refuse may have no shape at all: the rules are for what has.
    return rendered, faults or _rules(rendered)


def check_example(folder: Path, definitions: Definitions | None) -> tuple[Rendered, list[str]]:
    """An example: its schemas. What its names point to is made by an operator."""
    rendered = render(folder)
    return rendered, _schemas(rendered, definitions)


def _schemas(rendered: Rendered, definitions: Definitions | None) -> list[str]:
    return [
        fault
        for one in rendered.objects
        if definitions is not None or not is_custom(one)
        for fault in schema_faults(one, definitions or {})
    ]


def _rules(rendered: Rendered) -> list[str]:
    faults = [*wiring_faults(rendered), *network_faults(rendered), *scaling_faults(rendered), *written_down(rendered)]
    for workload in workloads_of(rendered):
        faults += [*pod_faults(workload), *setting_faults(rendered, workload)]
        if is_service(workload):
            values, _ = environment_of(rendered, workload.pod["containers"][0])
            grace = values.get("GRACE_PERIOD")
            faults += service_faults(workload, grace.text if grace else None)
    return faults
