"""What makes pods, and the values that a container of ours gets for its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manifests.rendering import Object, Rendered, called

KINDS = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or Job."""

    made: Object

    @property
    def called(self) -> str:
        return called(self.made)

    @property
    def name(self) -> str:
        return str(self.made["metadata"]["name"])

    @property
    def ends(self) -> bool:
        """Whether it is there to end: a Job, whose health is its exit status."""
        return bool(self.made["kind"] == "Job")

    @property
    def labels(self) -> Mapping[str, str]:
        """Of its pods."""
        return self.made["spec"]["template"]["metadata"].get("labels") or {}

    @property
    def pod(self) -> Mapping[str, Any]:
        """The pod's specification."""
        specification: Mapping[str, Any] = self.made["spec"]["template"]["spec"]
        return specification

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]

    def port_of(self, name: str | int) -> int | None:
        """The number of a named or numbered port that a container declares."""
        for container in self.containers:
            for port in container.get("ports", ()):
                if name in {port.get("name"), port["containerPort"]}:
                    return int(port["containerPort"])
        return None


@dataclass(frozen=True, slots=True)
class Value:
    """One variable of a container: its text where that is written down, or the Secret that holds it."""

    text: str | None
    secret: bool


def workloads_of(rendered: Rendered) -> Iterator[Workload]:
    """All of them."""
    return map(Workload, rendered.of(*KINDS))


def environment_of(rendered: Rendered, container: Mapping[str, Any]) -> tuple[dict[str, Value], set[str]]:
    """The variables of a container by name, and the names of those that come from a shared ConfigMap."""
    values: dict[str, Value] = {}
    for source in container.get("envFrom", ()):
        settings = rendered.get("ConfigMap", source.get("configMapRef", {}).get("name", ""))
        values |= {name: Value(text, secret=False) for name, text in (settings or {}).get("data", {}).items()}
    shared = set(values)
    for one in container.get("env", ()):
        values[one["name"]] = _value(rendered, one)
        shared.discard(one["name"])
    return values, shared


def _value(rendered: Rendered, one: Mapping[str, Any]) -> Value:
    source = one.get("valueFrom", {}).get("secretKeyRef")
    if source is None:
        return Value(one.get("value", ""), secret=False)
    held = rendered.get("Secret", source["name"])
    return Value(_decoded(held, source["key"]) if held else None, secret=True)


def _decoded(secret: Object, key: str) -> str | None:
    from base64 import b64decode

    written = secret.get("data", {}).get(key)
    return b64decode(written).decode() if written else None
