"""The OpenAPI file, with every reference resolved, as a list of operations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import yaml

Schema = Mapping[str, Any]

_METHODS: Final = ("get", "put", "post", "delete", "patch")
#: A short cut through alternatives that the library would follow by reference; each alternative is tried instead.
_DISCRIMINATOR: Final = "discriminator"
_PLACEHOLDER: Final = re.compile(r"\{([^}]+)\}")


class UnusableSpecification(Exception):
    """The file is missing, or uses what is not understood here."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `security` is a list of alternatives, each the names of schemes that are needed together."""

    id: str
    method: str
    path: re.Pattern[str]
    literal: int
    parameters: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any] | None
    answers: Mapping[str, Mapping[str, Any]]
    security: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Specification:
    """All of it. `shared_answers` are those that operations may refer to by name."""

    operations: Sequence[Operation]
    security_schemes: frozenset[str]
    shared_answers: Mapping[str, Mapping[str, Any]]

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a request and the values in its path, decoded."""
        for operation in self.operations:
            found = operation.path.fullmatch(path) if operation.method == method else None
            if found:
                return operation, {name: unquote(value) for name, value in found.groupdict().items()}
        return None


def read_specification(path: Path) -> Specification:
    """Raises `UnusableSpecification`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UnusableSpecification(f"{path} cannot be read: {type(error).__name__}") from None
    return specification_of(document)


def specification_of(document: Mapping[str, Any]) -> Specification:
    """Raises `UnusableSpecification` for what would otherwise go unchecked."""
    if not str(document.get("openapi", "")).startswith("3.0."):
        raise UnusableSpecification("the file is not OpenAPI 3.0")
    resolved = _Resolver(document).resolve(document)
    operations = [
        _operation(path, shared, method, resolved)
        for path, shared in resolved["paths"].items()
        for method in _METHODS
        if method in shared
    ]
    operations.sort(key=lambda operation: -operation.literal)  # `/recording/x` before `/recording/{id}`.
    components = resolved.get("components", {})
    return Specification(operations, frozenset(components.get("securitySchemes", {})), components.get("responses", {}))


def _operation(path: str, shared: Mapping[str, Any], method: str, document: Mapping[str, Any]) -> Operation:
    said = shared[method]
    parameters = [*shared.get("parameters", []), *said.get("parameters", [])]
    for parameter in parameters:
        if parameter["in"] not in {"path", "query"} or "schema" not in parameter:
            raise UnusableSpecification(f"the parameter {parameter['name']} is of a sort that is not checked here")
    parts = _PLACEHOLDER.split(path)
    pattern = "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return Operation(
        id=said["operationId"],
        method=method.upper(),
        path=re.compile(pattern),
        literal=sum(map(len, parts[::2])),
        parameters=parameters,
        body=said.get("requestBody"),
        answers={str(status): answer for status, answer in said["responses"].items()},
        security=[list(names) for names in said.get("security", document.get("security", []))],
    )


class _Resolver:
    """Puts the thing itself in the place of every reference; what refers to itself becomes a circle."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._known: dict[str, dict[str, Any]] = {}

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if isinstance(value.get("$ref"), str):
            return self._target(value["$ref"])
        return {key: self.resolve(item) for key, item in value.items() if key != _DISCRIMINATOR}

    def _target(self, reference: str) -> dict[str, Any]:
        if reference not in self._known:
            found: Any = self._document
            for part in reference.removeprefix("#/").split("/"):
                found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
            if not isinstance(found, Mapping):
                raise UnusableSpecification(f"{reference} refers to nothing")
            self._known[reference] = {}
            self._known[reference].update(self.resolve(found))
        return self._known[reference]
