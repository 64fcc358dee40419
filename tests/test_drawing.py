"""The drawing of the architecture shows the rooms, packages and tables that exist."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from worlds.paths import ROOT

from tasks.release.tables import TABLES

TEXT = (ROOT / "docs" / "architecture.dot").read_text(encoding="utf-8")
SVG = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
ROOMS = ("flows", "tasks", "models", "sql")
POSITION = r'pos = "(?P<x>\d+),(?P<y>\d+)!"'
BANDS = {
    band["room"]: {name: float(band[name]) for name in ("x", "y", "width", "height")}
    for band in re.finditer(
        rf"^    (?P<room>\w+) +\[{POSITION}, width = (?P<width>[\d.]+), height = (?P<height>[\d.]+), fill",
        TEXT,
        re.MULTILINE,
    )
}
"""Each drawn room: its centre in points, its width and height in inches."""
PACKAGES = {
    (package["room"], package["package"]): package
    for package in re.finditer(
        rf'^    "(?P<room>\w+)\.(?P<package>\w+)" +\[{POSITION}.*<b>(?P<title>.*?)</b>', TEXT, re.MULTILINE
    )
}


def folders(room: str) -> list[Path]:
    """Return the packages of a room: folders that hold Python or SQL."""
    return [
        path
        for path in sorted((ROOT / room).iterdir())
        if path.is_dir() and (any(path.glob("*.py")) or any(path.glob("*.sql")))
    ]


def test_every_room_is_drawn_and_so_is_the_library() -> None:
    assert set(BANDS) == {*ROOMS, "nightshelf"}


def test_the_packages_drawn_are_those_that_exist() -> None:
    assert set(PACKAGES) == {(room, path.name) for room in ROOMS for path in folders(room)}


@pytest.mark.parametrize(("room", "package"), PACKAGES, ids=".".join)
def test_a_package_has_its_name_and_lies_in_its_room(room: str, package: str) -> None:
    node, band = PACKAGES[room, package], BANDS[room]
    assert node["title"] == package
    assert abs(float(node["x"]) - band["x"]) < 72 * band["width"] / 2
    assert abs(float(node["y"]) - band["y"]) < 72 * band["height"] / 2


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_on_the_data_line(table: str) -> None:
    boxes = re.findall(r"^    data_\w+ +\[.*label = <(.*)>\]", TEXT, re.MULTILINE)
    assert table in {line.strip() for box in boxes for line in box.split("<br/>")}


def test_the_picture_was_drawn_from_this_text() -> None:
    drawn = re.search(r"<!-- sha256 of architecture\.dot: (\w{64}) -->", SVG)
    assert drawn is not None
    assert drawn[1] == hashlib.sha256(TEXT.encode()).hexdigest(), "run `make drawing`"


def test_the_picture_is_complete_and_has_a_background() -> None:
    assert '<polygon fill="white"' in SVG
    assert not re.findall(r"<image|<script|<foreignObject|href=", SVG)
    assert all(f">{package}<" in SVG for _, package in PACKAGES)


@pytest.mark.parametrize(
    ("page", "picture"), [("README.md", "docs/architecture.svg"), ("docs/design.md", "architecture.svg")]
)
def test_the_picture_is_shown(page: str, picture: str) -> None:
    assert f"]({picture})" in (ROOT / page).read_text(encoding="utf-8")
