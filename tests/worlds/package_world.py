"""A third-party package that registers models: the example of docs/library.md, installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from worlds.paths import IMPORTABLE, ROOT


def documented(word: str) -> str:
    """Return the example of docs/library.md that contains a word."""
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```\w+\n(.*?)```", text, flags=re.DOTALL) if word in block]
    return block


def install(
    folder: Path, entries: str, modules: dict[str, str] | None = None, name: str = "co-counts"
) -> Path:
    """Install a package into a folder, with its entry points, as pip would; return the folder."""
    for module, text in (modules or {"co_counts": documented("class CoCounts(")}).items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    metadata = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8"
    )
    (metadata / "entry_points.txt").write_text(f"[nightshelf.models]\n{entries}\n", encoding="utf-8")
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a new Python with the packages of a folder, and warnings as errors."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), IMPORTABLE])}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
