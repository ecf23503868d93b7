"""The checker of `make conformance`: what fits passes, and every planted fault is noticed. The file here is our own."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from conformance.check import deviations_of
from conformance.exchange import BY_HAND, WRONG_ON_PURPOSE, Exchange
from conformance.known import KNOWN_FAULTS, known_fault
from conformance.report import Judgement, judge, lines_of
from conformance.specification import Specification, UnusableSpecification, specification_of

BIRD = {
    "type": "object",
    "required": ["id", "kind"],
    "properties": {
        "id": {"type": "integer", "format": "int32"},
        "kind": {"$ref": "#/components/schemas/Kind"},
        "ring": {"type": "string", "nullable": True},
        "seen": {"type": "string", "format": "date-time"},
        "page": {"type": "string", "format": "uri"},
        "chicks": {"type": "array", "items": {"$ref": "#/components/schemas/Bird"}},
        "hatched": {"type": "string", "readOnly": True},
    },
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "security": [{"Key": []}],
    "paths": {
        "/birds": {
            "get": {
                "operationId": "listBirds",
                "parameters": [
                    {"name": "kind", "in": "query", "schema": {"type": "array", "items": {"$ref": "#/x/Kind"}}},
                    {
                        "name": "fields",
                        "in": "query",
                        "explode": False,
                        "schema": {"type": "array", "items": {"type": "string", "enum": ["id", "ring"]}},
                    },
                    {"name": "ringed", "in": "query", "schema": {"type": "boolean"}},
                    {
                        "name": "count",
                        "in": "query",
                        "schema": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "enum": ["max"]}]},
                    },
                ],
                "responses": {
                    "200": {
                        "headers": {"X-Total": {"schema": {"type": "integer"}}},
                        "content": {
                            "application/json": {
                                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Bird"}}
                            }
                        },
                    }
                },
            },
            "post": {
                "operationId": "addBird",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Bird"}}},
                },
                "responses": {"204": {"description": "added"}},
            },
        },
        "/birds/{birdId}/song": {
            "get": {
                "operationId": "hearBird",
                "parameters": [
                    {"name": "birdId", "in": "path", "required": True, "schema": {"type": "integer"}},
                    {"name": "volume", "in": "query", "required": True, "schema": {"type": "number", "maximum": 10}},
                ],
                "responses": {"200": {"content": {"audio/mpeg": {"schema": {"type": "string", "format": "binary"}}}}},
            }
        },
        "/key": {
            "post": {
                "operationId": "getKey",
                "security": [{}],
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "allOf": [
                                    {"properties": {"ttl": {"type": "integer", "minimum": 600}}},
                                    {"type": "object", "required": ["who"], "properties": {"who": {"type": "string"}}},
                                ]
                            }
                        }
                    }
                },
                "responses": {"200": {"description": "no body"}},
            }
        },
    },
    "x": {"Kind": {"$ref": "#/components/schemas/Kind"}},
    "components": {
        "securitySchemes": {"Key": {"type": "oauth2"}},
        "schemas": {"Bird": BIRD, "Kind": {"type": "string", "enum": ["owl", "tit"]}},
        "responses": {
            "Unauthorized": {
                "content": {"application/json": {"schema": {"type": "object", "required": ["why"], "properties": {}}}}
            }
        },
    },
}
OWL: dict[str, Any] = {"id": 1, "kind": "owl", "ring": None, "chicks": [{"id": 2, "kind": "owl"}]}
JSON = {"Content-Type": "application/json;charset=utf-8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def birds() -> Specification:
    return specification_of(DOCUMENT)


def exchange(
    *,
    method: str = "GET",
    path: str = "/birds",
    query: str = "",
    body: bytes = b"",
    request_headers: Mapping[str, str] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    answer: Any = None,
) -> Exchange:
    """By default a request for all birds that is answered with one owl."""
    sent = {"User-Agent": "ringvault", "Authorization": "Bearer key", **(request_headers or {})}
    told = [OWL] if answer is None and path == "/birds" and method == "GET" else answer
    content = b"" if told is None else json.dumps(told).encode()
    return Exchange(method, path, query, sent, body, status, JSON if headers is None else headers, content)


def add(bird: Any, **said: Any) -> Exchange:
    body = json.dumps(bird).encode()
    return exchange(method="POST", body=body, request_headers=JSON, status=204, headers={}, **said)


def found(birds: Specification, one: Exchange) -> list[tuple[str, str]]:
    return [(deviation.where, deviation.rule) for deviation in deviations_of(birds, one)]


@pytest.mark.parametrize(
    "one",
    [
        exchange(),
        exchange(query="kind=owl&kind=tit&fields=id,ring&ringed=true&count=max"),
        exchange(query="count=7", headers={**JSON, "X-Total": "1", "Server": "nest"}),
        exchange(path="/birds/7/song", query="volume=2.5", headers={"Content-Type": "audio/mpeg"}),
        exchange(method="POST", path="/key", body=b"who=me&ttl=600", request_headers=FORM, headers={}),
        add({"id": 3, "kind": "tit"}),
    ],
)
def test_what_the_file_says_passes(birds: Specification, one: Exchange) -> None:
    assert found(birds, one) == []


@pytest.mark.parametrize(
    ("query", "where", "rule"),
    [
        ("colour=red", "query colour", "undeclared"),
        ("kind=owl&kind=emu", "query kind/*", "enum"),
        ("fields=id,age", "query fields/*", "enum"),
        ("fields=id&fields=ring", "query fields", "explode"),
        ("ringed=yes", "query ringed", "type"),
        ("ringed=true&ringed=false", "query ringed", "explode"),
        ("count=0", "query count", "enum"),
    ],
)
def test_a_wrong_query_parameter_is_noticed(birds: Specification, query: str, where: str, rule: str) -> None:
    assert found(birds, exchange(query=query)) == [(f"request {where}", rule)]


def test_a_wrong_path_and_a_missing_parameter_are_noticed(birds: Specification) -> None:
    song = exchange(path="/birds/seven/song", headers={"Content-Type": "audio/mpeg"})
    assert found(birds, song) == [("request path birdId", "type"), ("request query volume", "required")]


def test_an_operation_that_the_file_does_not_have_is_noticed(birds: Specification) -> None:
    assert found(birds, exchange(path="/fish")) == [("request", "operation")]
    assert found(birds, exchange(method="DELETE")) == [("request", "operation")]


@pytest.mark.parametrize(
    ("bird", "where", "rule"),
    [
        ({"id": "1", "kind": "owl"}, "body/id", "type"),
        ({"id": 1}, "body", "required"),
        ({"id": 1, "kind": "owl", "wings": 2}, "body/wings", "unnamed"),
        ({"id": 1, "kind": "owl", "hatched": "May"}, "body/hatched", "readOnly"),
    ],
)
def test_a_wrong_request_body_is_noticed(birds: Specification, bird: Any, where: str, rule: str) -> None:
    assert found(birds, add(bird)) == [(f"request {where}", rule)]


def test_a_missing_body_a_wrong_form_and_a_missing_token_are_noticed(birds: Specification) -> None:
    without = exchange(method="POST", status=204, headers={})
    form = exchange(method="POST", path="/key", body=b"ttl=5", request_headers=FORM, headers={})
    anonymous = exchange(request_headers={"Authorization": "Basic abc"})
    assert found(birds, without) == [("request body", "required")]
    assert sorted(found(birds, form)) == [("request body", "required"), ("request body/ttl", "minimum")]
    assert found(birds, anonymous) == [("request authorisation", "security")]


@pytest.mark.parametrize(
    ("bird", "where", "rule"),
    [
        ({"id": "1", "kind": "owl"}, "/*/id", "type"),
        ({"id": 2**31, "kind": "owl"}, "/*/id", "format"),
        ({"id": 1, "kind": None}, "/*/kind", "type"),
        ({"id": 1, "kind": "owl", "seen": "2026-01-01"}, "/*/seen", "format"),
        ({"id": 1, "kind": "owl", "page": "/birds/1"}, "/*/page", "format"),
        ({"id": 1, "kind": "owl", "chicks": [{"id": 2, "kind": "owl", "age": 1}]}, "/*/chicks/*/age", "unnamed"),
    ],
)
def test_a_wrong_answer_is_noticed(birds: Specification, bird: Any, where: str, rule: str) -> None:
    places = found(birds, exchange(answer=[bird]))
    assert places[0] == (f"answer 200 body{where}", rule)


def test_an_answer_of_another_status_content_type_or_header_is_noticed(birds: Specification) -> None:
    assert found(birds, exchange(status=202)) == [("answer 202 status", "undeclared")]
    assert found(birds, exchange(headers={"Content-Type": "text/html"})) == [("answer 200 body", "content type")]
    assert found(birds, exchange(headers={**JSON, "X-Nest": "1"})) == [("answer 200 header X-Nest", "undeclared")]
    key = exchange(method="POST", path="/key", body=b"who=me", request_headers=FORM, answer={})
    assert found(birds, key) == [("answer 200 body", "undeclared")]


def test_an_error_that_is_not_declared_must_still_look_like_one(birds: Specification) -> None:
    refused = exchange(status=401, answer={})
    assert found(birds, refused) == [("answer 401 status", "undeclared"), ("answer 401 body", "required")]


def test_of_a_request_that_is_wrong_on_purpose_only_the_answer_counts(birds: Specification) -> None:
    wrong = exchange(query="colour=red", request_headers={"User-Agent": WRONG_ON_PURPOSE})
    assert found(birds, wrong) == []
    assert judge(birds, [wrong]).requests.total() == 0


def test_no_value_is_repeated_in_a_deviation(birds: Specification) -> None:
    secret = exchange(query="kind=Hedwig", answer=[{"id": "+1 202 555 0100", "kind": "Hedwig"}])
    told = " ".join(map(str, deviations_of(birds, secret)))
    assert told
    assert "Hedwig" not in told
    assert "555" not in told


def test_the_judgement_counts_and_fails_on_a_deviation_and_on_an_operation_left_out(birds: Specification) -> None:
    # Given one good exchange of our client and one by hand with an invented parameter,
    exchanges = [exchange(), exchange(query="colour=red", request_headers={"User-Agent": BY_HAND})]
    # when they are judged,
    judgement = judge(birds, exchanges)
    # then both are counted, the parameter is the one deviation, and what was never asked is named.
    assert judgement.requests == {"ringvault": 1, BY_HAND: 1}
    assert judgement.answers == 2
    assert [str(one) for one in judgement.deviations] == [
        "listBirds: request query colour: undeclared: the file has no such parameter"
    ]
    assert judgement.left_out == ["addBird", "getKey", "hearBird"]
    assert not judgement.passed
    assert "deviations: 1" in list(lines_of(judgement, birds))


def test_an_operation_that_is_only_ever_refused_is_not_covered(birds: Specification) -> None:
    refused = exchange(status=401, answer={"why": "no key"})
    judgement = judge(birds, [refused])
    assert "listBirds" in judgement.left_out
    assert "  listBirds: not answered with any 2xx: AND NO REASON IS KNOWN" in list(lines_of(judgement, birds))
    assert "listBirds" not in judge(birds, [refused, exchange()]).left_out


def test_a_known_fault_that_nothing_shows_is_stale_and_fails_the_run(birds: Specification) -> None:
    # Given answers that are all right but for one known fault of the file,
    refused = exchange(status=401, answer={"why": "no key"})
    judgement = judge(birds, [refused])
    # when nothing shows the others,
    others = [known.name for known in KNOWN_FAULTS if known.name != "401 and 429 are not declared"]
    # then each of them is stale, and alone enough to fail.
    assert judgement.stale == others
    assert any("STALE" in line and others[0] in line for line in lines_of(judgement, birds))
    assert not Judgement(stale=others[:1]).passed
    assert Judgement().passed


def test_a_batch_is_checked_part_by_part() -> None:
    document = json.loads(json.dumps(DOCUMENT))
    answers = document["paths"]["/birds"]["get"]["responses"]
    answers["207"] = {"content": {"multipart/mixed": {"schema": {"$ref": "#/components/schemas/Bird"}}}}
    batch = specification_of(document)

    def answered(*parts: Any) -> Exchange:
        text = "".join(f"--b\r\nContent-Type: application/json\r\n\r\n{json.dumps(part)}\r\n" for part in parts)
        body = f"{text}--b--\r\n".encode()
        headers = {"Content-Type": 'multipart/mixed; boundary="b"'}
        return Exchange("GET", "/birds", "", {"Authorization": "Bearer x"}, b"", 207, headers, body)

    statuses = {"response": [{"status": 200}, {"status": 404}]}
    assert found(batch, answered(statuses, OWL, {"error": 1})) == []
    assert found(batch, answered(statuses, {"id": 1}, {"error": 1})) == [("answer 207 body", "required")]
    assert found(batch, answered(statuses, OWL)) == [("answer 207 body", "multipart")]


@pytest.mark.parametrize(
    "change",
    [
        {"openapi": "3.1.0"},
        {
            "paths": {
                "/x": {"get": {"operationId": "x", "responses": {}, "parameters": [{"name": "h", "in": "header"}]}}
            }
        },
        {"paths": {"/x": {"$ref": "#/nowhere"}}},
    ],
)
def test_a_file_that_would_go_unchecked_in_part_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableSpecification):
        specification_of({**DOCUMENT, **change})


def test_every_known_fault_has_a_name_of_its_own_and_excuses_nothing_of_an_ordinary_kind(birds: Specification) -> None:
    assert len({known.name for known in KNOWN_FAULTS}) == len(KNOWN_FAULTS)
    ordinary = [
        *deviations_of(birds, exchange(query="colour=red")),
        *deviations_of(birds, exchange(answer=[{"id": None, "kind": "owl"}])),
        *deviations_of(birds, exchange(status=404, answer={})),
    ]
    assert ordinary
    assert all(known_fault(deviation) is None for deviation in ordinary)
