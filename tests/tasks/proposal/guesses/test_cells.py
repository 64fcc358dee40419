"""Several items in one cell: only where the cells show it, and never ids that contain the character."""

from __future__ import annotations

import pytest

from tasks.proposal.guesses.cells import Separator, item_separator, split_cells


@pytest.mark.parametrize(
    ("cells", "mark", "count", "example"),
    [
        (["a|b|c", "b", "a|c", "c|a", None, "", " d "], "|", 3, "a|c"),
        (["a;b", "b;c;a", "c"], ";", 2, "a;b"),
        (["a | b", "b | c | a", "c"], "|", 2, "a | b"),
        (["17,4,25", "4", "25,17"], ",", 2, "25,17"),
        (["p1|p2", "p3", "p4|p5|p6"], "|", 2, "p1|p2"),
        (["B00171|B00544", "B00173", "B00999|B00321|B00777|", "B00173"], "|", 2, "B00171|B00544"),
        (["Toy Story|Heat", "Heat|Alien|Toy Story", "Alien"], "|", 2, "Toy Story|Heat"),
    ],
)
def test_items_in_any_order_and_number_are_several(
    cells: list[str | None], mark: str, count: int, example: str
) -> None:
    assert item_separator(cells) == Separator(mark, count, example, sure=True)


@pytest.mark.parametrize(
    "cells",
    [
        ["shoe|red", "shoe|blue", "hat|red"],  # each cell has two parts, and none is in both places
        ["17|L", "18|M", "19|S"],
        ["AC;DC", "other", "third"],  # one cell shows nothing
        ["Cup, red", "Red, cup", "Cup", "Red"],
        ["a|", "b|", "c"],
        ["x", "y", None],
        [],
    ],
)
def test_ids_that_contain_a_character_are_not_split(cells: list[str | None]) -> None:
    assert item_separator(cells) is None


@pytest.mark.parametrize(
    "cells",
    [
        ["NYC|LON", "LON|NYC", "NYC|ROM"],  # routes: always two
        ["home", "home|garden", "home|garden|chairs", "home|kitchen"],  # shelves in shelves
        ["1", "1|12", "1|12|123", "1|13"],
        ["101|1", "101|2", "102"],  # a product, perhaps with its size
        ["101|1", "102|2", "103"],
        ["shoe|red", "hat", "cup|blue"],
    ],
)
def test_what_may_be_either_is_doubtful(cells: list[str | None]) -> None:
    separator = item_separator(cells)
    assert separator is not None
    assert (separator.mark, separator.sure) == ("|", False)


def test_the_surest_separator_counts() -> None:
    separator = item_separator(["a,1|b,1", "b,1", "b,1|a,1|c,2", "c,2|a,1"])
    assert separator is not None
    assert (separator.mark, separator.sure) == ("|", True)


def test_cells_are_split_as_an_ingest_splits_them() -> None:
    assert split_cells(["a| b|", None, "c"], "|") == ["a", "b", "c"]
