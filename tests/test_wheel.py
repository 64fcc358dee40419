"""A built wheel holds the whole program, which runs without the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {
    ".py",
    ".pyi",
    ".typed",
    ".sql",
    ".j2",
    ".html",
    ".css",
    ".js",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".md",
}
"""Suffixes of the files that a package ships; .typed is the marker py.typed."""


def quietly(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command in a folder and return its output."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel or an sdist of a source tree; return its path."""
    call = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    out.mkdir()
    quietly(sys.executable, "-W", "ignore", "-c", call, folder=source)
    (path,) = out.iterdir()
    return path


def members(path: Path) -> set[str]:
    """Return the file paths in a wheel or, below its top folder, an sdist."""
    if path.suffix == ".whl":
        with ZipFile(path) as wheel:
            return {name for name in wheel.namelist() if not name.endswith("/")}
    with tarfile.open(path) as sdist:
        return {one.name.partition("/")[2] for one in sdist if one.isfile()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the source tree without ignored files; builds write to it."""
    copy = tmp_path_factory.mktemp("source")
    listed = quietly("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # and still exists
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", source, tmp_path_factory.mktemp("sdist") / "out")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from the sdist alone."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return built("wheel", unpacked, folder / "out")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel installed, without its dependencies, which are present."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index")
    quietly(*pip, "--no-deps", "--target", folder, wheel, folder=folder)
    return folder


def tops(wheel: Path) -> set[str]:
    """Return the folders and modules that a wheel installs, without its metadata."""
    return {name.partition("/")[0] for name in members(wheel)} - {f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


def test_every_file_of_the_packages_is_in_the_wheel_and_in_the_sdist(
    source: Path, sdist: Path, wheel: Path
) -> None:
    base = source / "src" if (source / "src").is_dir() else source
    files = {
        path.relative_to(base).as_posix()
        for top in tops(wheel)
        for path in (base / top, *(base / top).rglob("*"))
        if path.suffix in SHIPPED
    }
    assert {".py", ".sql", ".j2", ".css", ".toml", ".yaml"} <= {Path(name).suffix for name in files}
    assert sorted(files - members(wheel)) == []
    prefix = base.relative_to(source)
    assert sorted({(prefix / name).as_posix() for name in files} - members(sdist)) == []


def test_nothing_but_the_packages_is_in_the_wheel(source: Path, wheel: Path) -> None:
    known = {path.name for path in source.rglob("*") if path.is_dir() or path.suffix == ".py"}
    assert tops(wheel) <= known - {"tests", "benchmarks", "docs"}
    assert not [name for name in members(wheel) if "__pycache__" in name or "/." in name]


def test_the_command_runs_from_the_installed_files_alone(
    installed: Path, wheel: Path, tmp_path: Path
) -> None:
    alone = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    ask = "import sys; print(*(__import__(name).__file__ for name in sys.argv[1:]))"
    names = {top.removesuffix(".py") for top in tops(wheel) if not top.endswith("-stubs")}
    found = quietly(sys.executable, "-c", ask, *names, folder=tmp_path, **alone).split()
    assert all(Path(path).is_relative_to(installed) for path in found), found
    answer = quietly(installed / "bin" / "nightshelf", "--help", folder=tmp_path, **alone)
    assert "Usage: nightshelf" in answer
    assert "demo" in answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.torture
def test_a_night_runs_from_the_installed_files_alone(installed: Path, tmp_path: Path) -> None:
    alone = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = (installed / "bin" / "nightshelf", "demo", "--folder", tmp_path / "demo", "--no-prefect")
    assert "recommendations" in quietly(*command, folder=tmp_path, **alone)
