"""HTML as pieces: joined they are the page, and elements are as a browser sees them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.runtime.markup import as_html, elements, pieces_of, without_elements

BITS = [
    "<p>",
    "</p>",
    "<div class='a b'>",
    "</div>",
    "<br>",
    "<img src='>'/>",
    "<script>",
    "</script>",
    "<style>",
]
BITS += [
    "</style>",
    "<!-- <p> -->",
    "<!doctype html>",
    "&amp;",
    "&#39;",
    "&",
    "<",
    ">",
    "text",
    "\n",
    "<path/>",
]


@given(st.lists(st.sampled_from(BITS) | st.text(max_size=3)).map("".join))
@example("&A")  # an entity that does not end
@example("<p>&#")
@example("<![")
@example("</>")  # nothing to the parser
def test_the_pieces_joined_are_the_page(page: str) -> None:
    pieces = pieces_of(page)
    assert as_html(pieces) == page
    for element in elements(pieces):
        assert 0 <= element.start < element.stop <= len(pieces)
        assert pieces[element.start].kind == "start"


def test_a_piece_is_a_tag_or_the_content_between_tags() -> None:
    page = "<!doctype html><P CLASS='a b'>1 &lt; 2<br></p ><style>p > a { color: '</p>' }</style>"
    described = [(piece.kind, piece.tag, piece.raw) for piece in pieces_of(page)]
    assert described == [
        ("other", "", "<!doctype html>"),
        ("start", "p", "<P CLASS='a b'>"),
        ("text", "", "1 &lt; 2"),
        ("start", "br", "<br>"),
        ("end", "p", "</p >"),
        ("start", "style", "<style>"),
        ("other", "", "p > a { color: '</p>' }"),
        ("end", "style", "</style>"),
    ]
    assert pieces_of(page)[1].classes == {"a", "b"}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("a<b>x</b>c", "ac"),
        ("a<b>x<b>y</b>z</b>c", "ac"),
        ("a<b title='</b>'>x</b>c", "ac"),
        ("a<b><!-- </b> -->x</b>c", "ac"),
        ("a<b>x<p>y<p>z</b>c", "ac"),
        ("a<i>x</b></i>c", "a<i>x</b></i>c"),
        ("a<b>c", "ac"),
        ("a<b/>c", "a<b/>c"),
        ("a<br>c", "a<br>c"),
    ],
)
def test_removing_an_element_removes_its_content(page: str, expected: str) -> None:
    pieces = pieces_of(page)
    bold = [element for element in elements(pieces) if pieces[element.start].tag == "b"]
    assert as_html(without_elements(pieces, bold)) == expected
