"""`python -m manifests`: 0 only when every overlay and example passes.

`KUBERNETES_DEFINITIONS` names a folder of CustomResourceDefinitions; without it custom resources meet no schema, and it
says so. The packages of requirements/kubernetes.txt must be importable.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from manifests.checking import check, check_example
from manifests.rendering import CannotRender, Rendered
from manifests.schemas import RELEASES, Definitions, is_custom, read_definitions

_FOLDER: Final = Path("deploy/kubernetes")


def main() -> int:
    """Check and print; 2 when something that is needed is missing."""
    if find_spec("kubernetes_validate") is None:
        _say("check-kubernetes: the packages of requirements/kubernetes.txt are missing: use `make check-kubernetes`")
        return 2
    named = os.environ.get("KUBERNETES_DEFINITIONS", "")
    definitions = read_definitions(Path(named)) if named else None
    if named and not definitions:
        _say("check-kubernetes: KUBERNETES_DEFINITIONS names a folder without a CustomResourceDefinition")
        return 2
    try:
        found = _check_all(definitions)
    except CannotRender as fault:
        _say(f"check-kubernetes: {fault}")
        return 2
    _say(f"check-kubernetes: {'FAILED' if found else 'passed'}, against Kubernetes {' and '.join(RELEASES)}")
    return 1 if found else 0


def _check_all(definitions: Definitions | None) -> int:
    found = 0
    for kind, one_check in (("overlays", check), ("examples", check_example)):
        folders = sorted(file.parent for file in (_FOLDER / kind).glob("*/kustomization.yaml"))
        if not folders:
            raise CannotRender(f"there is nothing in {_FOLDER / kind}.")
        for folder in folders:
            rendered, faults = one_check(folder, definitions)
            found += len(faults)
            _say(f"{kind}/{folder.name}: {_counted(rendered, definitions)}, {len(faults)} faults")
            for fault in faults:
                _say(f"  {fault}")
    return found


def _counted(rendered: Rendered, definitions: Definitions | None) -> str:
    custom = sum(map(is_custom, rendered.objects))
    unseen = f", {custom} of them custom and held against no schema" if custom and definitions is None else ""
    return f"{len(rendered.objects)} objects{unseen}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
