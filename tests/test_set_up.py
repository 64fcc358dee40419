"""The Python that `make` chooses for set-up; the Pythons here are scripts that imitate one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("make", "sh", "sed", "grep", "uname", "cut", "cp", "mkdir", "rm", "touch", "chmod", "cat")
SHIM = "#!/bin/sh\nexit 127\n"  # as a version manager's shim for an unselected version
PYTHON = """#!/bin/sh
case "$*" in
*"pip index versions torch") echo "Available versions: 2.99.0, {torch}, 2.0.0" ;;
*"-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
*realpath*) echo "$0" ;;
--version) echo "Python {version}.9" ;;
*base_prefix*) echo "cpython {version}.9 /opt/python{version}" ;;
*) echo {version} ;;
esac
"""
TORCH = next(
    line.removeprefix("torch==")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if line.startswith("torch==")
)


class Machine:
    """A PATH with the few tools that the Makefile calls, and a test's Pythons."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.venv = folder / "venv"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.put("uname", "#!/bin/sh\necho Linux\n")

    def put(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def python(self, version: str, torch: str = TORCH, name: str = "") -> None:
        self.put(name or f"python{version}", PYTHON.format(version=version, torch=torch))

    def make(self, *goals: str) -> subprocess.CompletedProcess[str]:
        called = [self.bin / "make", "--silent", f"--directory={ROOT}", f"VENV={self.venv}", *goals]
        return subprocess.run(
            called, env={"PATH": str(self.bin)}, capture_output=True, text=True, check=False
        )

    def chosen(self, *goals: str) -> tuple[str, str]:
        """Return the chosen Python, and the messages about it."""
        done = self.make('--eval=chosen: ; @sh -c "$$CHOOSE"', "chosen", *goals)
        return done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_that_starts_is_taken(machine: Machine) -> None:
    machine.put("python3.13", SHIM)
    machine.python("3.12", f"{TORCH}+cpu")
    machine.python("3.11", f"{TORCH}+cpu")
    assert machine.chosen() == ("python3.12", "")


def test_a_cpu_build_of_torch_goes_before_a_newer_python(machine: Machine) -> None:
    machine.python("3.13")
    machine.python("3.12", "2.1.0+cpu")  # of another version
    machine.python("3.11", f"{TORCH}+cpu")
    assert machine.chosen() == ("python3.11", "")
    machine.put("nvidia-smi", "#!/bin/sh\n")
    assert machine.chosen() == ("python3.13", "")  # which can use the CUDA build
    machine.put("nvidia-smi", "#!/bin/sh\nexit 9\n")  # a driver without a GPU
    machine.put("uname", "#!/bin/sh\necho Darwin\n")  # if there is only one build
    assert machine.chosen() == ("python3.13", "")


def test_where_only_cuda_builds_are_known_that_is_said(machine: Machine) -> None:
    machine.python("3.12")
    machine.python("3.11")
    python, said = machine.chosen()
    assert python == "python3.12"
    assert f"no CPU build of torch {TORCH}" in said
    assert "PIP_EXTRA_INDEX_URL" in said


def test_without_a_supported_python_one_sentence_says_what_is_needed_and_what_is_there(
    machine: Machine,
) -> None:
    _, said = machine.chosen()
    needs = "Nightshelf needs CPython 3.11 to 3.14 with venv and ensurepip (Debian: python3-venv); found "
    assert said.splitlines()[0] == f"{needs}nothing."
    machine.put("python3.13", SHIM)
    machine.python("3.9", name="python3")
    python, said = machine.chosen()
    assert python == ""
    assert said.splitlines()[0] == f"{needs}python3.13 (unusable), python3 (3.9)."


def test_the_python_that_is_asked_for_is_taken_or_refused(machine: Machine) -> None:
    machine.python("3.13", f"{TORCH}+cpu")
    machine.python("3.14")
    machine.python("3.15")
    assert machine.chosen("PYTHON=python3.14") == ("python3.14", "")
    assert machine.chosen("PYTHON=python3.15")[1].splitlines()[0].endswith("found that python3.15 is 3.15.")
    assert "found that python3.12 does not start" in machine.chosen("PYTHON=python3.12")[1]


def test_an_environment_is_made_anew_for_another_python_only(machine: Machine) -> None:
    def made(*goals: str) -> bool:
        done = machine.make(f"{machine.venv}/.python", *goals)
        assert done.returncode == 0, done.stderr
        return "is made with" in done.stdout

    machine.python("3.11", f"{TORCH}+cpu")
    assert made()
    assert not made()
    machine.python("3.12", f"{TORCH}+cpu")
    assert not made()  # a newer one alone is no reason
    assert not made("PYTHON=python3.11")
    assert made("PYTHON=python3.12")
    assert not made()
    machine.python("3.12", f"{TORCH}+cpu", name="python3")
    assert not made("PYTHON=python3")  # the same under another name
    (machine.venv / "bin" / "python").unlink()  # as after removing its Python
    assert made()
    (machine.venv / ".python").unlink()  # as after an interrupted creation
    assert made()
