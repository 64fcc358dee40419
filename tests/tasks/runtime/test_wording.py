"""How sentences count: one file, several files."""

from __future__ import annotations

from tasks.runtime.wording import counted


def test_one_is_singular_and_thousands_are_separated() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1204)] == [
        "0 files",
        "1 file",
        "2 files",
        "1,204 files",
    ]
