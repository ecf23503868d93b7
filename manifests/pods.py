"""What we ask of every pod: health, limits, no rights, an image that stays the same."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from manifests.workloads import Workload

#: Seconds for handing back, after GRACE_PERIOD, what could not be finished.
_MARGIN: Final = 5.0
#: GRACE_PERIOD where none is set.
_GRACE: Final = 25.0
_PROBES: Final = {"livenessProbe": "/livez", "readinessProbe": "/readyz", "startupProbe": "/livez"}


def pod_faults(workload: Workload) -> Iterator[str]:
    """Of one workload, ours or not."""
    for fault in (*_rights(workload), *_images(workload), *_resources(workload), *_health(workload)):
        yield f"{workload.called}: {fault}"


def service_faults(workload: Workload, grace: str | None) -> Iterator[str]:
    """Of one of our services: its probes ask what they should, and its end has the time that it takes."""
    container = workload.pod["containers"][0]
    for name, path in _PROBES.items():
        asked = container.get(name, {}).get("httpGet", {})
        if asked and (
            asked.get("path") != path or workload.port_of(asked.get("port", "")) != workload.port_of("admin")
        ):
            yield f"{workload.called}: {name} must ask {path} of the port admin"
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needed = pause + float(grace or _GRACE) + _MARGIN
    given = workload.pod.get("terminationGracePeriodSeconds", 30)
    if given < needed:
        yield f"{workload.called}: terminationGracePeriodSeconds is {given}, but its end may take {needed:.0f}"
    if workload.pod.get("enableServiceLinks", True):
        yield f"{workload.called}: enableServiceLinks must be false, or Services set variables that are settings"


def _rights(workload: Workload) -> Iterator[str]:
    pod = workload.pod
    if pod.get("automountServiceAccountToken", True):
        yield "automountServiceAccountToken must be false"
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"{name} must not be set"
    if any("hostPath" in volume for volume in pod.get("volumes", ())):
        yield "a hostPath is no volume"
    for container in workload.containers:
        yield from (f"container {container['name']}: {fault}" for fault in _container_rights(pod, container))


def _container_rights(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    own: Mapping[str, Any] = container.get("securityContext", {})
    context = {**pod.get("securityContext", {}), **own}
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "must run as a user that is not root: runAsNonRoot: true and a runAsUser above 0"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "allowPrivilegeEscalation must be false, and privileged not set"
    if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
        yield "capabilities must drop ALL and add none"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile must be RuntimeDefault"


def _images(workload: Workload) -> Iterator[str]:
    for container in workload.containers:
        image = container["image"]
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            yield f"container {container['name']}: {image} needs a tag that stays the same, and not latest"


def _resources(workload: Workload) -> Iterator[str]:
    for container in workload.containers:
        resources = container.get("resources", {})
        missing = [f"requests.{name}" for name in ("cpu", "memory") if name not in resources.get("requests", {})]
        missing += [] if "memory" in resources.get("limits", {}) else ["limits.memory"]
        if missing:
            yield f"container {container['name']}: resources lack {', '.join(missing)}"


def _health(workload: Workload) -> Iterator[str]:
    if workload.ends:
        return
    for container in workload.containers:
        missing = [name for name in ("livenessProbe", "readinessProbe") if name not in container]
        if missing:
            yield f"container {container['name']}: has no {' and no '.join(missing)}"
