"""What is installed is what is locked, and the bill of materials says so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-workers.lock")


def locked(name: str) -> dict[str, str]:
    """Return the versions of a lock by package; every line that is no remark pins one, by nothing else."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert len(pins) > 100
    versions = {}
    for pin in pins:
        (exact,) = pin.specifier
        assert str(pin) == f"{pin.name}=={Version(exact.version).public}", f"{name}: {pin}"
        versions[canonicalize_name(pin.name)] = exact.version
    return versions


def needed(names: list[str], seen: set[str]) -> set[str]:
    """Return the packages that these need, to the last, as they are installed."""
    for name in map(canonicalize_name, names):
        if name in seen:
            continue
        seen.add(name)
        asked = [Requirement(text) for text in metadata.requires(name) or []]
        here = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
        needed([one.name for one in here], seen)
    return seen


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_one_version_of_every_package_from_no_address(name: str) -> None:
    assert locked(name)
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|git\+|--(?:extra-)?index-url|--find-links|--trusted-host", text)


def test_the_locks_agree() -> None:
    runtime = locked("requirements.lock")
    for name in LOCKS[1:]:
        other = locked(name)
        assert {package: other.get(package) for package in runtime} == runtime


def test_what_is_installed_is_what_is_locked() -> None:
    """Each package that Nightshelf needs, and those that they need, in the version of the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = needed([Requirement(text).name for text in project["dependencies"]], set())
    runtime = locked("requirements.lock")
    assert names <= runtime.keys()
    installed = {name: metadata.version(name).partition("+")[0] for name in names}
    assert installed == {name: runtime[name] for name in names}


@pytest.mark.torture
def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    """By `make sbom`, which installs its tool from the package index."""
    made = subprocess.run(
        ["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads((ROOT / "build" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {canonicalize_name(one["name"]): one["version"] for one in bill["components"]} == locked(LOCKS[0])
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])
    shutil.copyfile(ROOT / "build" / "sbom.cdx.json", tmp_path / "first.json")
    subprocess.run(["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "build" / "sbom.cdx.json").read_bytes() == (tmp_path / "first.json").read_bytes()
