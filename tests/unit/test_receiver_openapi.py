"""The receiver's own description names every answer that the receiver has, and nothing else; `make openapi` asks it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator

from services.webhook.answers import STATUS, Outcome, Refused, refuse
from services.webhook.endpoint import PATH

DESCRIPTION = yaml.safe_load((Path(__file__).parents[2] / "docs" / "receiver-openapi.yaml").read_text(encoding="utf-8"))


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part, or what it refers to."""
    if "$ref" not in part:
        return part
    found = DESCRIPTION
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


ANSWERS = {int(status): resolved(part) for status, part in DESCRIPTION["paths"][PATH]["post"]["responses"].items()}


def test_each_status_that_a_post_may_have_is_described_and_no_other() -> None:
    # Another method than POST is no operation of the description, so neither is its 405.
    assert set(ANSWERS) == set(STATUS.values()) - {STATUS[Outcome.WRONG_METHOD]}
    assert list(DESCRIPTION["paths"]) == [PATH]
    assert list(DESCRIPTION["paths"][PATH]) == ["post"]


@pytest.mark.parametrize("outcome", [one for one in Outcome if STATUS[one] >= 400 and one is not Outcome.WRONG_METHOD])
def test_each_refusal_is_as_described(outcome: Outcome) -> None:
    response = refuse(Refused(outcome, "a reason"))

    described = ANSWERS[response.status]
    [media_type] = described["content"]
    assert response.content_type == media_type
    schema = resolved(described["content"][media_type]["schema"])
    assert [str(error) for error in OAS31Validator(schema).iter_errors({"error": "a reason"})] == []
    assert response.text == '{"error": "a reason"}'
    for name, header in described.get("headers", {}).items():
        assert name in response.headers or not header.get("required")
