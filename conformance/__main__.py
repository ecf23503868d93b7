"""`python -m conformance`: 0 only when nothing deviates from RingCentral's file beyond its known faults.

`RINGCENTRAL_OPENAPI` is the file. The packages of requirements/conformance.txt must be importable.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from conformance.specification import Specification, UnusableSpecification, read_specification
from private_servers.errors import PrivateServerError


def main() -> int:
    """Run and print; 2 when something that is needed is missing."""
    try:
        specification = _specification()
    except UnusableSpecification as fault:
        _say(f"conformance: {fault}")
        return 2
    if find_spec("openapi_schema_validator") is None or find_spec("ringcentral") is None:
        _say("conformance: the packages of requirements/conformance.txt are missing: use `make conformance`")
        return 2
    try:
        return _run(specification)
    except (PrivateServerError, OSError) as fault:
        _say(f"conformance: {fault}")
        return 1


def _run(specification: Specification) -> int:
    from conformance.report import judge, lines_of
    from conformance.run import full_run

    run = full_run(_say)
    judgement = judge(specification, run.exchanges)
    for line in lines_of(judgement, specification):
        _say(line)
    for sentence in run.faults:
        _say(f"fault: {sentence}")
    passed = judgement.passed and not run.faults
    _say("conformance: passed" if passed else "conformance: FAILED")
    return 0 if passed else 1


def _specification() -> Specification:
    path = os.environ.get("RINGCENTRAL_OPENAPI", "")
    if not path or not Path(path).is_file():
        raise UnusableSpecification(
            "RingCentral's OpenAPI file is missing; it is no part of this project: name it with RINGCENTRAL_OPENAPI=..."
        )
    return read_specification(Path(path))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
