"""One exchange against the specification: path, parameters, bodies, status, content types, headers, authorisation."""

import json
import re
from collections.abc import Iterator, Mapping
from email.parser import BytesParser
from email.policy import default
from typing import Any, Final
from urllib.parse import parse_qsl

from conformance.exchange import WRONG_ON_PURPOSE, Deviation, Exchange, Fault
from conformance.specification import Operation, Schema, Specification
from conformance.values import cast, faults_in, read_parameter

#: Headers of answers that RingCentral defines itself; all others are HTTP's own.
_OWN_HEADER: Final = re.compile(r"x-.*|retry-after", re.IGNORECASE)
#: Which of the shared answers an error has where an operation does not declare its status.
_SHARED: Final = {
    400: "InvalidRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceNotAvailable",
}


def operation_of(specification: Specification, exchange: Exchange) -> str:
    """The operation's id; for one that the file does not have, method and path with `…` for numbers."""
    found = specification.find(exchange.method, exchange.path)
    return found[0].id if found else f"{exchange.method} {re.sub('[0-9]{4,}', '…', exchange.path)}"


def deviations_of(specification: Specification, exchange: Exchange) -> Iterator[Deviation]:
    """Everything that is not as the file says. Of a request that is wrong on purpose, only the answer is judged."""
    name = operation_of(specification, exchange)
    found = specification.find(exchange.method, exchange.path)
    if found is None:
        yield Deviation(name, "request", "operation", "the file has no such operation")
        return
    operation, values = found
    if exchange.sender != WRONG_ON_PURPOSE:
        for where, fault in _in_request(specification, operation, values, exchange):
            yield Deviation(name, f"request {where}{fault.place}", fault.rule, fault.detail)
    for where, fault in _in_answer(specification, operation, exchange):
        yield Deviation(name, f"answer {exchange.status} {where}{fault.place}", fault.rule, fault.detail)


def _in_request(
    specification: Specification, operation: Operation, values: Mapping[str, str], exchange: Exchange
) -> Iterator[tuple[str, Fault]]:
    yield from _in_parameters(operation, values, exchange.query)
    for fault in _in_authorisation(specification, operation, exchange):
        yield "authorisation", fault
    for fault in _in_request_body(operation, exchange):
        yield "body", fault


def _in_parameters(operation: Operation, values: Mapping[str, str], query: str) -> Iterator[tuple[str, Fault]]:
    given: dict[tuple[str, str], list[str]] = {("path", name): [value] for name, value in values.items()}
    for name, value in parse_qsl(query, keep_blank_values=True):
        given.setdefault(("query", name), []).append(value)
    for parameter in operation.parameters:
        key = (parameter["in"], parameter["name"])
        texts = given.pop(key, None)
        if texts is not None:
            for fault in read_parameter(parameter, texts):
                yield " ".join(key), fault
        elif parameter.get("required"):
            yield " ".join(key), Fault("", "required", "missing")
    for kind, name in given:
        yield f"{kind} {name}", Fault("", "undeclared", "the file has no such parameter")


def _in_authorisation(specification: Specification, operation: Operation, exchange: Exchange) -> Iterator[Fault]:
    """A bearer token where the file wants a scheme, unless it allows none at all."""
    for name in {name for names in operation.security for name in names} - specification.security_schemes:
        yield Fault("", "security", f"the file uses the scheme {name} and does not define it")
    needed = operation.security and all(operation.security)
    scheme = exchange.request_headers.get("Authorization", "").partition(" ")[0].lower()
    if needed and scheme != "bearer":
        yield Fault("", "security", "no bearer token")


def _in_request_body(operation: Operation, exchange: Exchange) -> Iterator[Fault]:
    if not exchange.request_body:
        if operation.body and operation.body.get("required"):
            yield Fault("", "required", "no body")
        return
    if operation.body is None:
        yield Fault("", "undeclared", "the file has no body here")
        return
    yield from _in_content(operation.body["content"], exchange.request_headers, exchange.request_body, sent=True)


def _in_answer(specification: Specification, operation: Operation, exchange: Exchange) -> Iterator[tuple[str, Fault]]:
    answer = operation.answers.get(str(exchange.status), operation.answers.get("default"))
    if answer is None:
        yield "status", Fault("", "undeclared", "the file has no such status here")
        answer = _nearest(specification, operation, exchange.status)
    declared = {name.lower() for name in answer.get("headers", {})}
    for name in exchange.headers:
        if _OWN_HEADER.fullmatch(name) and name.lower() not in declared:
            yield f"header {name}", Fault("", "undeclared", "the file has no such header here")
    if "content" not in answer:
        if exchange.body:
            yield "body", Fault("", "undeclared", "the file has no body here")
        return
    for fault in _in_content(answer["content"], exchange.headers, exchange.body, sent=False):
        yield "body", fault


def _nearest(specification: Specification, operation: Operation, status: int) -> Mapping[str, Any]:
    """What an answer of a status that is not declared should look like all the same."""
    if status < 400:
        return operation.answers.get("200", {})
    return specification.shared_answers.get(_SHARED.get(status, "Forbidden"), {})


def _in_content(content: Mapping[str, Any], headers: Mapping[str, str], body: bytes, *, sent: bool) -> Iterator[Fault]:
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in content:
        yield Fault("", "content type", f"{kind or 'none'} instead of {' or '.join(content)}")
        return
    schema = content[kind].get("schema", {})
    if kind == "multipart/mixed":
        yield from _in_parts(headers["Content-Type"], body, schema)
    elif kind == "application/x-www-form-urlencoded":
        yield from _in_form(body, schema)
    elif kind == "application/json":
        yield from _in_json(body, schema, sent=sent)
    elif not kind.startswith("audio/"):
        yield Fault("", "content type", f"{kind} is not checked here")


def _in_json(body: bytes | str, schema: Schema, *, sent: bool) -> Iterator[Fault]:
    try:
        value = json.loads(body)
    except ValueError:
        yield Fault("", "JSON", "cannot be read")
    else:
        yield from faults_in(value, schema, sent=sent)


def _in_form(body: bytes, schema: Schema) -> Iterator[Fault]:
    pairs = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, strict_parsing=True)
    if len(dict(pairs)) < len(pairs):
        yield Fault("", "explode", "a field is given several times")
    value = {name: cast(text, _property(schema, name)) for name, text in pairs}
    yield from faults_in(value, schema, sent=True)


def _property(schema: Schema, name: str) -> Schema:
    """What a schema, or one that it is combined of, says of a property first."""
    if name in schema.get("properties", {}):
        found: Schema = schema["properties"][name]
        return found
    combined = [inner for keyword in ("allOf", "anyOf", "oneOf") for inner in schema.get(keyword, ())]
    return next((found for inner in combined if (found := _property(inner, name))), {})


def _in_parts(content_type: str, body: bytes, schema: Schema) -> Iterator[Fault]:
    """A batch: the statuses of all first, then a part for each; the parts of status 200 have the schema."""
    message = BytesParser(policy=default).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = [str(part.get_payload()) for part in message.iter_parts()]
    try:
        statuses = [one["status"] for one in json.loads(parts[0])["response"]]
        paired = list(zip(statuses, parts[1:], strict=True))
    except (ValueError, LookupError, TypeError):
        yield Fault("", "multipart", "the first part does not list the statuses of the others")
        return
    for status, part in paired:
        if status == 200:
            yield from _in_json(part, schema, sent=False)
