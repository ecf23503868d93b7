"""Network policies as a cluster applies them: what each process needs is allowed, and of the rest nothing.

What it needs is read from its settings: the host in a URL is a Service of the overlay, or a server outside.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from manifests.rendering import Rendered
from manifests.settings import model_of
from manifests.wiring import selects
from manifests.workloads import Value, Workload, environment_of, workloads_of

#: The settings that say where somebody is called, and the ports there when the URL is kept elsewhere.
_CALLED: Final[Mapping[str, frozenset[int]]] = {
    "DATABASE_URL": frozenset({5432, 6543}),  # Postgres, and Supabase's transaction pooler.
    "AMQP_URL": frozenset({5671}),
    "RC_SERVER_URL": frozenset({443}),
    "AWS_ENDPOINT_URL_S3": frozenset({443}),
}
_SCHEMES: Final = {"https": 443, "http": 80, "postgresql": 5432, "amqp": 5672, "amqps": 5671}
#: What no process may reach without a need.
_OUTSIDE_PORTS: Final = frozenset({80, 443, 5432, 5671, 5672, 6543})


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection: a pod by its labels and its namespace's, or, without them, a server outside."""

    pod: Mapping[str, str] | None = None
    namespace: Mapping[str, str] | None = None


OUTSIDE: Final = Peer()
_NAMES: Final = Peer({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"})


def network_faults(rendered: Rendered) -> Iterator[str]:
    """Of a whole overlay."""
    workloads = list(workloads_of(rendered))
    for workload in workloads:
        model = model_of(workload.pod["containers"][0])
        if model is not None:
            values, _ = environment_of(rendered, workload.pod["containers"][0])
            called = {name: values.get(name) for name in _CALLED if name.lower() in model.model_fields}
            yield from _workload_faults(rendered, workload, workloads, called)
    yield from _event_faults(rendered, workloads)
    yield from _inner_event_faults(rendered, workloads)


def allowed(rendered: Rendered, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether the policies let a connection through, at both ends."""
    return _lets(rendered, source, target, port, protocol, "Egress") and _lets(
        rendered, target, source, port, protocol, "Ingress"
    )


def _lets(rendered: Rendered, here: Peer, there: Peer, port: int, protocol: str, way: str) -> bool:
    if here.pod is None or here.namespace != _namespace():
        return True  # not ours to say.
    labels = here.pod
    policies = [
        policy["spec"]
        for policy in rendered.of("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels) and way in policy["spec"].get("policyTypes", ("Ingress",))
    ]
    key = "to" if way == "Egress" else "from"
    rules = [rule for policy in policies for rule in policy.get(way.lower(), ())]
    return not policies or any(_rule_matches(rule, key, there, port, protocol) for rule in rules)


def _rule_matches(rule: Mapping[str, Any], key: str, there: Peer, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(one.get("port") in {None, port} and one.get("protocol", "TCP") == protocol for one in ports):
        return False
    return not rule.get(key) or any(_peer_matches(one, there) for one in rule[key])


def _peer_matches(one: Mapping[str, Any], there: Peer) -> bool:
    if "ipBlock" in one:
        return there.pod is None
    if there.pod is None:
        return False
    where = (
        selects(one["namespaceSelector"], there.namespace or {})
        if "namespaceSelector" in one
        else (there.namespace == _namespace())
    )
    return where and ("podSelector" not in one or selects(one["podSelector"], there.pod))


def _namespace() -> Mapping[str, str]:
    return {"kubernetes.io/metadata.name": "ringvault"}


def _inside(workload: Workload) -> Peer:
    return Peer(workload.labels, _namespace())


def _workload_faults(
    rendered: Rendered, workload: Workload, workloads: list[Workload], called: Mapping[str, Value | None]
) -> Iterator[str]:
    here = _inside(workload)
    if not allowed(rendered, here, _NAMES, 53, "UDP"):
        yield f"{workload.called}: the network policies do not let it ask for names"
    needed: set[tuple[str, int]] = set()
    for name, value in called.items():
        host, ports = _address(rendered, value.text if value else None, _CALLED[name])
        needed |= {(host, port) for port in ports}
        target = _behind(rendered, host, workloads)
        there = _inside(target) if target else OUTSIDE
        for port in ports:
            if not allowed(rendered, here, there, _inner_port(rendered, host, port, target)):
                told = f"{name} ({host or 'outside'}, {port})"
                yield f"{workload.called}: the network policies do not let it reach {told}"
    for reached in _unneeded(rendered, workload, workloads, needed):
        yield f"{workload.called}: the network policies let it {reached}, which it does not need"


def _unneeded(
    rendered: Rendered, workload: Workload, workloads: list[Workload], needed: set[tuple[str, int]]
) -> Iterator[str]:
    here = _inside(workload)
    for port in sorted(_OUTSIDE_PORTS - {port for host, port in needed if not host}):
        if allowed(rendered, here, OUTSIDE, port):
            yield f"go outside to port {port}"
    wanted = [_behind(rendered, host, workloads) for host, _ in needed]
    for other in workloads:
        if other is not workload and other not in wanted:
            yield from (
                f"reach {other.called}" for port in _ports(other) if allowed(rendered, here, _inside(other), port)
            )


def _ports(workload: Workload) -> list[int]:
    return [port["containerPort"] for container in workload.containers for port in container.get("ports", ())]


def _address(rendered: Rendered, url: str | None, unknown: frozenset[int]) -> tuple[str, frozenset[int]]:
    """The Service that a URL names and its port; no name for a server outside."""
    if url is None:
        return "", unknown
    parts = urlsplit(url)
    port = parts.port or _SCHEMES[parts.scheme]
    host = (parts.hostname or "").partition(".")[0]
    return (host if rendered.get("Service", host) else ""), frozenset({port})


def _behind(rendered: Rendered, host: str, workloads: list[Workload]) -> Workload | None:
    service = rendered.get("Service", host) if host else None
    if service is None:
        return None
    selector = {"matchLabels": service["spec"].get("selector", {})}
    return next((workload for workload in workloads if selects(selector, workload.labels)), None)


def _inner_port(rendered: Rendered, host: str, port: int, target: Workload | None) -> int:
    """Policies know the pods' ports, not the Services'."""
    service = rendered.get("Service", host)
    if service is None or target is None:
        return port
    named = {one["port"]: one.get("targetPort", one["port"]) for one in service["spec"]["ports"]}
    return target.port_of(named.get(port, port)) or port


def _event_faults(rendered: Rendered, workloads: list[Workload]) -> Iterator[str]:
    """Whoever an Ingress stands for must reach the pods behind it: some other namespace that a policy names."""
    namespaces = [
        one["namespaceSelector"].get("matchLabels", {})
        for policy in rendered.of("NetworkPolicy")
        for rule in policy["spec"].get("ingress", ())
        for one in rule.get("from", ())
        if "namespaceSelector" in one
    ]
    for ingress in rendered.of("Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            target = _behind(rendered, path["backend"]["service"]["name"], workloads)
            port = target.port_of("http") if target else None
            if (
                target
                and port
                and not any(allowed(rendered, Peer({}, namespace), _inside(target), port) for namespace in namespaces)
            ):
                yield f"{target.called}: the network policies let no ingress controller reach it"


def _inner_event_faults(rendered: Rendered, workloads: list[Workload]) -> Iterator[str]:
    """A RingCentral inside the cluster must reach the address that the poller tells it."""
    for workload in workloads:
        values, _ = environment_of(rendered, workload.pod["containers"][0])
        urls = [values[name].text for name in ("RC_SERVER_URL", "RC_WEBHOOK_ADDRESS") if name in values]
        ends = [_address(rendered, url, frozenset()) for url in urls]
        if len(ends) == 2 and all(host for host, _ in ends):
            source, target = (_behind(rendered, host, workloads) for host, _ in ends)
            port = _inner_port(rendered, ends[1][0], min(ends[1][1]), target)
            if source and target and not allowed(rendered, _inside(source), _inside(target), port):
                yield f"{source.called}: the network policies do not let its events reach {target.called}"
            return
