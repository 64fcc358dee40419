"""The form of CSV files: delimiter, lines before the header, header."""

from __future__ import annotations

import pytest

from tasks.proposal.guesses.form import csv_settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("user,item,time\nu,i,2026-11-30\n", {}),
        ("user;item;time\nu,1;i,2;2026-11-30\n", {"delimiter": ";"}),
        ("user|item|time\nu|i|2026-11-30\n", {"delimiter": "|"}),
        ("user\titem\ttime\nu\ti\t2026-11-30\n", {"delimiter": "\t"}),
        ('user,item,text\nu,i,"a;b;c;d"\nu,i,"e;f;g;h"\n', {}),
        ("Report of November\n\nuser,item,time\nu,i,2026-11-30\nv,i,2026-11-30\n", {"skip_lines": 2}),
        ("# made by hand\nuser,item,time\nu,i,2026-11-30\n", {"skip_lines": 1}),
        ("sep=;\nuser;item;time\nu;i;2026-11-30\n", {}),
        ("\nuser,item\nu,i\n", {}),
        ("who,what\nanna,cup\n", {}),
    ],
)
def test_the_settings_that_are_no_defaults_are_returned(text: str, settings: dict[str, object]) -> None:
    assert csv_settings(text, "log.csv")[0] == settings


@pytest.mark.parametrize("text", ["1\t2\t3\t881250949\n", "u1\ti1\t2026-11-30\nu2\ti2\t2026-11-30\n"])
def test_a_first_line_with_figures_or_times_is_a_row(text: str) -> None:
    settings, notes = csv_settings(text, "log.tsv")
    assert settings["header"] is False
    assert settings["column_names"][:2] == ["column_1", "column_2"]
    assert "has no header" in notes[0]


def test_fields_parted_by_two_colons_are_told_from_times() -> None:
    settings, _ = csv_settings("1::1193::5::978300760\n1::661::3::978302109\n", "ratings.dat")
    assert settings["delimiter"] == "::"
    assert len(settings["column_names"]) == 4
