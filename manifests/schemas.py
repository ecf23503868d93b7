"""Objects against their schemas, strictly: a field that the schema does not know is refused.

Kubernetes' own schemas come with kubernetes-validate; those of custom resources are read from a folder of definitions.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from manifests.rendering import Object, called

#: The oldest release that has all that is used (the pause before a stop, since 1.30), and the newest that we have.
RELEASES: Final = ("1.30", "1.37")
#: Groups that Kubernetes itself answers for; all others are custom.
_OWN_GROUPS: Final = frozenset({"", "apps", "batch", "policy", "autoscaling", "networking.k8s.io"})

Definitions = Mapping[tuple[str, str], Mapping[str, Any]]


def read_definitions(folder: Path) -> Definitions:
    """The schemas of all CustomResourceDefinitions in a folder, by apiVersion and kind."""
    found = {}
    for file in sorted(folder.glob("*.y*ml")):
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if one and one.get("kind") == "CustomResourceDefinition":
                spec = one["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    found[key] = _strict(version["schema"]["openAPIV3Schema"])
    return found


def is_custom(one: Object) -> bool:
    """Whether Kubernetes itself does not know such an object."""
    group = one["apiVersion"].rpartition("/")[0]
    return group not in _OWN_GROUPS


def schema_faults(one: Object, definitions: Definitions) -> Iterator[str]:
    """What the schemas refuse. A custom resource that no definition is there for is a fault."""
    if is_custom(one):
        yield from _custom_faults(one, definitions)
    else:
        yield from _own_faults(one)


def _own_faults(one: Object) -> Iterator[str]:
    import kubernetes_validate as kubernetes

    for release in RELEASES:
        try:
            kubernetes.validate(dict(one), release, strict=True)
        except kubernetes.ValidationError as error:
            yield f"{called(one)}: {_place(error.path)}: {error.message[:300]} (Kubernetes {release})"
        except kubernetes.SchemaNotFoundError:
            yield f"{called(one)}: Kubernetes {release} knows no {one['apiVersion']} {one['kind']}"


def _custom_faults(one: Object, definitions: Definitions) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    schema = definitions.get((one["apiVersion"], one["kind"]))
    if schema is None:
        yield f"{called(one)}: the folder of definitions has none of {one['apiVersion']} {one['kind']}"
        return
    for error in Draft202012Validator(schema).iter_errors(one):
        yield f"{called(one)}: {_place(error.path)}: {error.message[:300]}"


def _place(path: Any) -> str:
    return ".".join(str(step) for step in path) or "top level"


def _strict(schema: Mapping[str, Any], *, top: bool = True) -> Mapping[str, Any]:
    """The schema as the API server applies it with strict field validation: what is not named is refused."""
    made = {name: value for name, value in schema.items() if name not in {"description", "default", "format"}}
    if "properties" in schema:
        made["properties"] = {name: _strict(value, top=False) for name, value in schema["properties"].items()}
        if top:
            # Their schema is the API server's own, and kubectl wrote them.
            made["properties"] |= {"metadata": {"type": "object"}}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            made[name] = _strict(schema[name], top=False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made
