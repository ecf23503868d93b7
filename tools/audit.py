"""`make audit`: what is installed is what the locks say, untouched; its licences are allowed; what is known of it.

Only the last needs the network; without it the audit says that it was not checked. Whoever changes an installed file
together with its entry in pip's record is not found out. Exit status 1 when anything is wrong.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
REQUIREMENTS: Final = ROOT / "requirements"
#: What .venv is made of; it holds the lock of what runs in production, version by version.
INSTALLED: Final = REQUIREMENTS / "dev.txt"
#: Where the Makefile puts pip-audit, apart from all that it looks at.
PIP_AUDIT: Final = ROOT / ".cache/audit"
#: Installed beside the lock: pip itself, what a virtual environment may come with, and ourselves.
NOT_LOCKED: Final = {"pip", "setuptools", "ringvault"}

#: One requirement with its continuation lines joined: name, version, perhaps a marker, and at least one hash.
PINNED: Final = re.compile(r"([A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^\\]+?)?)( --hash=sha256:[0-9a-f]{64})+")

#: Licences under which a company may run this, and pass it on, without asking a lawyer; as SPDX writes them.
ALLOWED: Final = {"Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
#: What authors write instead.
SPDX: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
#: Classifiers that name no licence.
NO_LICENCE: Final = {"DFSG approved", "OSI Approved"}
#: Seconds for pip-audit: a hundred questions over a slow line.
ASK_WITHIN: Final = 300.0


def read_lock(lock: Path) -> tuple[list[Requirement], list[str]]:
    """Its requirements, and a sentence for each line that is not pinned to one version and its hashes."""
    found, faults = [], []
    for line in lock.read_text().replace("\\\n", "").splitlines():
        pinned = PINNED.fullmatch(re.sub(r"\s+", " ", line).strip())
        if pinned:
            found.append(Requirement(pinned[1]))
        elif line.strip():
            faults.append(f"{lock.name}: not pinned and hashed: {line.split(' --hash')[0].strip()}")
    return found, faults


def differences(locked: Iterable[Requirement], installed: Iterable[Distribution]) -> Iterator[str]:
    """A sentence for each package that is missing, is another version, or is in no lock."""
    versions = {canonicalize_name(one.metadata["Name"]): one.version for one in installed}
    wanted = {canonicalize_name(one.name): one for one in locked if one.marker is None or one.marker.evaluate()}
    for name, requirement in wanted.items():
        if name not in versions:
            yield f"{requirement} is not installed"
        elif not requirement.specifier.contains(versions[name], prereleases=True):
            yield f"{name} {versions[name]} is installed, the lock has {requirement}"
    yield from (f"{name} is installed, but in no lock" for name in versions.keys() - wanted.keys() - NOT_LOCKED)


def changed_files(distribution: Distribution) -> Iterator[str]:
    """A sentence for each file that is gone, or is not as it was installed."""
    for file in distribution.files or []:
        if file.hash is None or file.suffix == ".pyc":
            continue
        try:
            content = Path(str(file.locate())).read_bytes()
        except OSError:
            yield f"{file} of {distribution.name} is gone"
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, content).digest()).rstrip(b"=").decode()
        if digest != file.hash.value:
            yield f"{file} of {distribution.name} was changed after it was installed"


def licence_of(distribution: Distribution) -> str:
    """Its licence, as an expression of SPDX where its author says so clearly."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return str(metadata["License-Expression"])
    classifiers = [str(one) for one in metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    names = {one.split(" :: ")[-1] for one in classifiers} - NO_LICENCE
    names = names or set(str((metadata.get_all("License") or ["unknown"])[0]).splitlines()[:1])
    return " AND ".join(sorted(SPDX.get(name, name) for name in names))


def is_allowed(licence: str) -> bool:
    """Whether one of the alternatives is allowed in all its parts."""
    return any(set(one.strip(" ()").split(" AND ")) <= ALLOWED for one in licence.split(" OR "))


def ask_pip_audit() -> tuple[list[str], str | None]:
    """What is known against the locked packages, and why that was not found out, if so."""
    what = ["--requirement", str(INSTALLED), "--require-hashes", "--disable-pip", "--vulnerability-service", "osv"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *what, "--format", "json", "--progress-spinner", "off"],
            env=os.environ | {"PYTHONPATH": str(PIP_AUDIT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=ASK_WITHIN,
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer within {ASK_WITHIN:.0f} s"
    try:
        return known_of(done.stdout), None
    except ValueError:
        return [], (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200]


def known_of(report: str) -> list[str]:
    """A sentence for each vulnerability, and each package that could not be looked up, in pip-audit's report.

    Raises `ValueError` when it is none.
    """
    found = []
    for package in json.loads(report)["dependencies"]:
        if "skip_reason" in package:
            found.append(f"{package['name']} was not looked up: {package['skip_reason']}")
        for one in package.get("vulns", []):
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            found.append(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    return found


def report(what: str, faults: Iterable[str], good: str) -> bool:
    """Print how a check went; whether it held."""
    told = sorted(faults)
    print(f"{what}: {f'{len(told)} wrong' if told else good}")
    for fault in told:
        print(f"  {fault}")
    return not told


def main() -> int:
    """Run all checks; 0 when each of them held."""
    locks = sorted(REQUIREMENTS.glob("*.txt"))
    unpinned = [fault for lock in locks for fault in read_lock(lock)[1]]
    locked, _ = read_lock(INSTALLED)
    installed = list(distributions())
    others = [one for one in installed if canonicalize_name(one.name) not in NOT_LOCKED]
    licences = {one.name: licence_of(one) for one in others}
    refused = [f"{name}: {licence}" for name, licence in licences.items() if not is_allowed(licence)]
    fitting = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    counts = ", ".join(f"{licence} {count}" for licence, count in Counter(licences.values()).most_common())
    held = [
        report("locks", unpinned, f"every line of {len(locks)} pinned and hashed"),
        report("requirements", fitting.stdout.splitlines() if fitting.returncode else [], "all fit each other"),
        report("installed", differences(locked, installed), f"{len(others)} packages, as {INSTALLED.name} has them"),
        report("files", (fault for one in others for fault in changed_files(one)), "all as they were installed"),
        report("licences", refused, f"all allowed: {counts}"),
    ]
    known, unknown_because = ask_pip_audit()
    if unknown_because is None:
        held.append(report("vulnerabilities", known, "none known"))
    else:
        print(f"vulnerabilities: NOT CHECKED, which needs the network: {unknown_because}")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
