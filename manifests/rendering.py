"""A kustomization as `kubectl` renders it, and its objects by kind and name."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

#: Seconds that rendering may take: nothing is fetched.
_WITHIN: Final = 60.0

Object = Mapping[str, Any]


class CannotRender(Exception):
    """The text is for a person: what is missing, or what kubectl said."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one kustomization makes."""

    objects: Sequence[Object]

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        return (one for one in self.objects if one["kind"] in kinds)

    def get(self, kind: str, name: str) -> Object | None:
        """The object of that kind and name."""
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)


def render(folder: Path) -> Rendered:
    """Render a folder with a kustomization.yaml; raises `CannotRender`."""
    try:
        done = subprocess.run(
            ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=_WITHIN, check=False
        )
    except FileNotFoundError:
        raise CannotRender("kubectl is missing: install it; version 1.27 or newer, no cluster is needed.") from None
    except subprocess.TimeoutExpired:
        raise CannotRender(f"kubectl kustomize {folder.name} did not end within {_WITHIN:.0f} s.") from None
    if done.returncode:
        raise CannotRender(done.stderr.strip() or f"kubectl kustomize ended with {done.returncode}.")
    return Rendered([one for one in yaml.safe_load_all(done.stdout) if one])


def called(one: Object) -> str:
    """How a sentence names an object."""
    return f"{one['kind']} {one['metadata']['name']}"
