"""What names something else by a label, a name or a port must find it."""

from collections.abc import Iterator, Mapping
from typing import Any

from manifests.rendering import Object, Rendered, called
from manifests.settings import is_service
from manifests.workloads import Workload, workloads_of


def wiring_faults(rendered: Rendered) -> Iterator[str]:
    """Of a whole overlay."""
    workloads = list(workloads_of(rendered))
    for workload in workloads:
        yield from (f"{workload.called}: {fault}" for fault in _workload(rendered, workload, workloads))
    for service in rendered.of("Service"):
        yield from (f"{called(service)}: {fault}" for fault in _service(service, workloads))
    for ingress in rendered.of("Ingress"):
        yield from (f"{called(ingress)}: {fault}" for fault in _ingress(rendered, ingress))
    for one in rendered.of("PodDisruptionBudget", "NetworkPolicy"):
        selector = one["spec"].get("selector", one["spec"].get("podSelector"))
        if not any(selects(selector, workload.labels) for workload in workloads):
            yield f"{called(one)}: its selector matches no pod"
    for namespace in rendered.of("Namespace"):
        if namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{called(namespace)}: must enforce the restricted pod security"


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything, none nothing."""
    if selector is None:
        return False
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(_holds(one, labels) for one in selector.get("matchExpressions", ()))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _workload(rendered: Rendered, workload: Workload, workloads: list[Workload]) -> Iterator[str]:
    selector = workload.made["spec"].get("selector")
    if selector is not None and not selects(selector, workload.labels):
        yield "its selector does not match its own pods"
    for other in workloads:
        if other is not workload and selects(selector, other.labels):
            yield f"its selector matches the pods of {other.called} too"
    named = {
        "ServiceAccount": workload.pod.get("serviceAccountName"),
        "Service": workload.made["spec"].get("serviceName"),
    }
    yield from (f"there is no {kind} {name}" for kind, name in named.items() if name and not rendered.get(kind, name))
    yield from (f"there is no volume {name}" for name in sorted(_mounted(workload) - _volumes(workload)))
    if is_service(workload):
        yield from _replicas(rendered, workload)


def _mounted(workload: Workload) -> set[str]:
    return {mount["name"] for container in workload.containers for mount in container.get("volumeMounts", ())}


def _volumes(workload: Workload) -> set[str]:
    claims = workload.made["spec"].get("volumeClaimTemplates", ())
    return {volume["name"] for volume in workload.pod.get("volumes", ())} | {
        claim["metadata"]["name"] for claim in claims
    }


def _replicas(rendered: Rendered, workload: Workload) -> Iterator[str]:
    budgets = rendered.of("PodDisruptionBudget")
    if not any(selects(budget["spec"]["selector"], workload.labels) for budget in budgets):
        yield "no PodDisruptionBudget is made for it"
    spread = workload.pod.get("topologySpreadConstraints", ())
    if not any(selects(one.get("labelSelector"), workload.labels) for one in spread):
        yield "no topologySpreadConstraints keep its replicas apart"


def _service(service: Object, workloads: list[Workload]) -> Iterator[str]:
    selector = {"matchLabels": service["spec"].get("selector", {})}
    behind = [workload for workload in workloads if selects(selector, workload.labels)]
    if len(behind) != 1:
        yield f"its selector matches the pods of {len(behind)} workloads"
        return
    for port in service["spec"]["ports"]:
        name, target = port.get("name", port["port"]), port.get("targetPort", port["port"])
        if behind[0].port_of(target) is None:
            yield f"its port {name} leads to {target}, which {behind[0].called} does not declare"


def _ingress(rendered: Rendered, ingress: Object) -> Iterator[str]:
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            wanted = path["backend"]["service"]
            service = rendered.get("Service", wanted["name"])
            asked = wanted["port"].get("name", wanted["port"].get("number"))
            ports = service["spec"]["ports"] if service else ()
            if not any(asked in {port.get("name"), port["port"]} for port in ports):
                yield f"there is no Service {wanted['name']} with the port {asked}"
    hosts = {host for one in ingress["spec"].get("tls", ()) for host in one.get("hosts", ())}
    for rule in ingress["spec"]["rules"]:
        if hosts and rule.get("host") not in hosts:
            yield f"{rule.get('host')} has no certificate"
