"""Values against schemas: what breaks a rule, and what the schema does not name at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator, oas30_format_checker

from conformance.exchange import Fault
from conformance.specification import Schema

#: Keywords whose schemas speak about the same value.
_COMBINED: Final = ("allOf", "anyOf", "oneOf")


def _is_uri(value: object) -> bool:
    """Whether it is an absolute http URL, as all addresses here are. Raises `ValueError` for a broken one."""
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and value.isascii() and " " not in value


def _formats() -> FormatChecker:
    """The library's formats, and addresses, which it leaves out unless one more package is there."""
    checker = deepcopy(oas30_format_checker)
    checker.checkers["uri"] = (_is_uri, ValueError)
    return checker


_FORMATS: Final = _formats()


def faults_in(value: Any, schema: Schema, *, sent: bool) -> Iterator[Fault]:
    """What is wrong in a JSON value. `sent`: it belongs to a request, where read-only properties have no place."""
    validator = (OAS30WriteValidator if sent else OAS30ReadValidator)(schema, format_checker=_FORMATS)
    for error in validator.iter_errors(value):
        yield _fault(error)
    yield from _unnamed(value, [schema], "")


def _fault(error: ValidationError) -> Fault:
    """The fault without the value: that may be somebody's name."""
    closest = best_match([error]) or error
    place = "".join(f"/{'*' if isinstance(part, int) else part}" for part in closest.absolute_path)
    rule = str(closest.validator)
    if rule == "required":
        return Fault(place, rule, closest.message.replace("is a required property", "is missing"))
    found = "null" if closest.instance is None else type(closest.instance).__name__
    return Fault(place, rule, f"a {found} where the file says {closest.validator_value!r:.120}")


def _unnamed(value: Any, schemas: Sequence[Schema], place: str) -> Iterator[Fault]:
    """Properties that no schema names. OpenAPI allows them; a simulator that invents some leads its user astray."""
    schemas = list(_flat(schemas))
    if isinstance(value, list):
        items = [schema["items"] for schema in schemas if "items" in schema]
        for item in value:
            yield from _unnamed(item, items, f"{place}/*")
    if not isinstance(value, dict):
        return
    named = [schema["properties"] for schema in schemas if "properties" in schema]
    free = not named or any(schema.get("additionalProperties") for schema in schemas)
    for name, inner in value.items():
        found = [properties[name] for properties in named if name in properties]
        if found:
            yield from _unnamed(inner, found, f"{place}/{name}")
        elif not free:
            yield Fault(f"{place}/{name}", "unnamed", "the file names no such property")


def _flat(schemas: Iterable[Schema]) -> Iterator[Schema]:
    for schema in schemas:
        yield schema
        for keyword in _COMBINED:
            yield from _flat(schema.get(keyword, ()))


def read_parameter(parameter: Mapping[str, Any], texts: Sequence[str]) -> Iterator[Fault]:
    """What is wrong in a parameter that was given with these texts."""
    schema = parameter["schema"]
    if schema.get("type") == "array":
        in_query = parameter["in"] == "query"
        separate = parameter.get("explode", in_query)
        if not separate and len(texts) > 1:
            yield Fault("", "explode", "given several times; the file wants one value with commas")
        parts = texts if separate else [part for text in texts for part in text.split(",")]
        value: Any = [cast(part, schema.get("items", {})) for part in parts]
    else:
        if len(texts) > 1:
            yield Fault("", "explode", "given several times; the file wants one value")
        value = cast(texts[-1], schema)
    yield from faults_in(value, schema, sent=True)


def cast(text: str, schema: Schema) -> Any:
    """The value that a text stands for; the text itself when it does not fit, so that the schema refuses it."""
    alternatives = [value for keyword in _COMBINED for value in schema.get(keyword, ())]
    for alternative in alternatives:
        value = cast(text, alternative)
        if not any(faults_in(value, alternative, sent=True)):
            return value
    kind = schema.get("type")
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in {"integer", "number"}:
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text
