"""Installed packages match the locks, and the bill of materials lists them."""

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
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-workers.lock")


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", one)]
HERE = ".".join(map(str, sys.version_info[:3]))
CUDA = re.compile(r"(nvidia|cuda)-.*|triton")
"""Packages of a CUDA build of torch; no lock holds them, for the sake of CPU builds."""


def pins(name: str) -> list[Requirement]:
    """Return the pins of a lock; every line except comments must name exactly one version."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert len(found) > 100
    for pin in found:
        exact = f"{pin.name}=={Version(version(pin)).public}"
        assert str(pin).partition("; ")[0] == exact, f"{name}: {pin}"
    return found


def version(pin: Requirement) -> str:
    (exact,) = pin.specifier
    return exact.version


def locked(name: str, python: str = HERE) -> dict[str, str]:
    """Return the versions of a lock by package, as installed for one Python."""
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    chosen = [pin for pin in pins(name) if pin.marker is None or pin.marker.evaluate(environment)]
    versions = {canonicalize_name(pin.name): version(pin) for pin in chosen}
    assert len(versions) == len(chosen), f"{name} pins a package twice for {python}"
    return versions


def needed(names: list[str], seen: set[str]) -> set[str]:
    """Return all installed packages that these require, directly or not."""
    for name in map(canonicalize_name, names):
        if name in seen:
            continue
        seen.add(name)
        requirements = [Requirement(text) for text in metadata.requires(name) or []]
        applicable = [
            requirement
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
        needed([requirement.name for requirement in applicable], seen)
    return seen


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    """In the classifiers, in requires-python and in the Makefile, which searches for them."""
    requirements = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(100) if requirements.contains(f"3.{minor}.0")] == PYTHONS
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (supported,) = re.findall(r"^SUPPORTED := (.+)$", text, re.MULTILINE)
    assert supported.split() == PYTHONS


@pytest.mark.parametrize("python", [f"{one}.0" for one in PYTHONS])
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_one_version_of_every_package_from_no_address(name: str, python: str) -> None:
    assert not [one for one in locked(name, python) if CUDA.fullmatch(one)]
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|git\+|--(?:extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize("python", [f"{one}.0" for one in PYTHONS])
def test_the_locks_agree(python: str) -> None:
    runtime = locked("requirements.lock", python)
    for name in LOCKS[1:]:
        pinned = locked(name, python)
        assert {package: pinned.get(package) for package in runtime} == runtime


def test_installed_packages_match_the_locks() -> None:
    """Every package that Nightshelf requires, directly or not, has its locked version."""
    names = needed([Requirement(text).name for text in PROJECT["dependencies"]], set())
    names = {name for name in names if not CUDA.fullmatch(name)}
    runtime = locked("requirements.lock")
    assert names <= runtime.keys()
    installed = {name: metadata.version(name).partition("+")[0] for name in names}
    assert installed == {name: runtime[name] for name in names}


@pytest.mark.torture
def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path) -> None:
    """`make sbom` installs its tool from the package index."""
    made = subprocess.run(
        ["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads((ROOT / "build" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    named = {(canonicalize_name(component["name"]), component["version"]) for component in bill["components"]}
    assert named == {(canonicalize_name(pin.name), version(pin)) for pin in pins(LOCKS[0])}
    assert all(component["purl"].startswith("pkg:pypi/") for component in bill["components"])
    shutil.copyfile(ROOT / "build" / "sbom.cdx.json", tmp_path / "first.json")
    subprocess.run(["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "build" / "sbom.cdx.json").read_bytes() == (tmp_path / "first.json").read_bytes()
