"""The unit of systemd: its commands, its process id file, and what systemd says about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from worlds.paths import ROOT

from flows.stack.processes import stack_folder
from flows.stack.start import PID_FILE

UNIT = ROOT / "deployments" / "nightshelf.service"


def test_the_unit_follows_the_supervisor_of_its_stack() -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    folder = Path(service["WorkingDirectory"])
    assert Path(service["PIDFile"]) == stack_folder(folder / "store") / PID_FILE
    for key, command in {"ExecStart": "up", "ExecStop": "down"}.items():
        assert service[key].split()[1:] == [command, "--config", str(folder / "nightshelf.toml")]
    assert (service["Type"], service["Restart"]) == ("forking", "on-failure")


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/nightshelf/.venv/bin/nightshelf", sys.executable)
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [verify, "verify", "--man=no", str(tmp_path / UNIT.name)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
