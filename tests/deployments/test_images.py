"""Images: what they copy, their user, and no secrets in any file."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from worlds.container_files import (
    HOME,
    TEXTS,
    USER,
    stages,
)
from worlds.paths import ROOT


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_ends_with_a_user_that_is_not_root(target: str) -> None:
    lines = stages()[target]
    assert lines[-1] == f"USER {USER}"
    assert lines[0] == f"FROM application AS {target}"
    assert any(f"--uid {USER.partition(':')[0]} " in line for line in stages()["system"])


def test_an_image_names_its_base_and_its_torch() -> None:
    assert re.fullmatch(r"ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", stages()[""][0])
    assert "ARG TORCH_INDEX_URL" in stages()["packages"]  # no default, and refused if empty
    assert any("${TORCH_INDEX_URL:?" in line for line in stages()["packages"])
    assert list(stages())[-1] == "cpu"  # built if no target is named


def test_the_build_context_holds_what_is_copied_and_nothing_secret() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    let = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[rules.index("*") :][1].startswith("!"), "everything is left out first"
    assert all((ROOT / name).exists() for name in let)
    copied = re.findall(
        r"^COPY (\S+\.lock) ", (HOME / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(copied) == {"requirements.lock", "requirements-workers.lock"} <= set(let)
    assert {"flows", "tasks", "models", "sql", "deployments", "pyproject.toml"} <= set(let)
    assert rules.index("deployments/.env") > rules.index("!deployments")
    assert "/deployments/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_container_workers_have_the_packages_of_other_images_and_two_more() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.-]+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    more = pins("requirements-workers.lock") - pins("requirements.lock")
    assert pins("requirements.lock") < pins("requirements-workers.lock")
    assert {"prefect-docker", "prefect-kubernetes"} <= {pin.split("==")[0] for pin in more}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, value in re.findall(
        r"(?im)^\W*(\w*(?:password|auth_string|token|api_key)\w*)\W*[:=] *(.*)$", text
    ):
        reference = re.fullmatch(r"(true,?|false,?|\$\{\w+:\?[^}]*\}|)\s*(#.*)?", value.strip())
        assert reference, f"{path.name}: {name} has a value: {value!r}"
    assert not re.search(r"://[^/\s:$]+:[^@\s$]+@", text), "a password in an address"
    assert "BEGIN" not in text


def test_an_installed_package_has_every_file_of_deployments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["deployments"]
    files = [
        path.relative_to(HOME).as_posix()
        for path in HOME.rglob("*.*")
        if path.suffix in {".toml", ".yaml", ".json"}
    ]
    assert len(files) >= 10
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)] == []
