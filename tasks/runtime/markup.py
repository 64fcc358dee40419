"""HTML pages as pieces of text: elements can be removed, and the rest keeps its exact text."""
# ruff: noqa: ARG002 - the parser passes the content of each piece; only its position is used

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate
from typing import Final, Literal

Kind = Literal["start", "end", "text", "other"]
VOID: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
"""Elements that have no content and no end tag."""


@dataclass(frozen=True)
class Piece:
    """A tag, or the content between two tags; `raw` is its text in the page.

    Scripts, styles, comments and declarations have the kind `other`.
    """

    kind: Kind
    raw: str
    tag: str = ""
    attributes: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def classes(self) -> frozenset[str]:
        """The classes of a start tag."""
        return frozenset((self.attributes.get("class") or "").split())


class _Reader(HTMLParser):
    """Records the position where each piece starts; the parser gives it as line and column."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = [0, *accumulate(len(line) + 1 for line in page.split("\n"))]
        self.begun: list[tuple[int, Kind, str, Mapping[str, str | None]]] = []
        self.feed(page + "\n")  # of an entity that the page ends in, the parser would pass over the "&"
        self.close()
        if not self.begun or self.begun[0][0]:  # by text that the parser passes over, such as "</>"
            self.begun.insert(0, (0, "text", "", {}))

    def _begin(self, kind: Kind, tag: str = "", attributes: Mapping[str, str | None] | None = None) -> None:
        line, column = self.getpos()
        self.begun.append((self._lines[line - 1] + column, kind, tag, attributes or {}))

    def parse_html_declaration(self, i: int) -> int:
        """Return the end of a declaration; one that is malformed is a comment, as in a browser."""
        try:
            return super().parse_html_declaration(i)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin("start", tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._begin("start" if tag in VOID else "other", tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._begin("end", tag)

    def handle_data(self, data: str) -> None:
        self._begin("other" if self.cdata_elem else "text")

    def handle_entityref(self, name: str) -> None:
        self._begin("text")

    def handle_charref(self, name: str) -> None:
        self._begin("text")

    def handle_comment(self, data: str) -> None:
        self._begin("other")

    def handle_decl(self, decl: str) -> None:
        self._begin("other")

    def handle_pi(self, data: str) -> None:
        self._begin("other")

    def unknown_decl(self, data: str) -> None:
        self._begin("other")


def pieces_of(page: str) -> list[Piece]:
    """Return the pieces of a page in order; their `raw` texts joined are the page."""
    begun = _Reader(page).begun
    pieces: list[Piece] = []
    for (at, kind, tag, attributes), stop in zip(begun, [*(at for at, *_ in begun[1:]), None], strict=False):
        raw = page[at:stop]
        if not raw:  # the line end that the parser got
            continue
        if pieces and kind == pieces[-1].kind == "text":
            pieces[-1] = Piece("text", pieces[-1].raw + raw)
        else:
            pieces.append(Piece(kind, raw, tag, attributes))
    return pieces


def elements(pieces: Sequence[Piece]) -> list[range]:
    """Return the range of pieces of each element, tags included, in the order of start tags.

    An element whose end tag is missing is its start tag alone.
    """
    stops: dict[int, int] = {}
    unclosed: list[int] = []
    for at, piece in enumerate(pieces):
        if piece.kind == "start":
            stops[at] = at + 1
            if piece.tag not in VOID:
                unclosed.append(at)
        elif piece.kind == "end" and piece.tag in {pieces[start].tag for start in unclosed}:
            while pieces[start := unclosed.pop()].tag != piece.tag:
                pass  # a paragraph or a list item, which needs no end tag
            stops[start] = at + 1
    return [range(start, stop) for start, stop in stops.items()]


def without_elements(pieces: Sequence[Piece], removed: Iterable[range]) -> list[Piece]:
    """Return the pieces without the pieces of the removed elements."""
    skipped = {at for element in removed for at in element}
    return [piece for at, piece in enumerate(pieces) if at not in skipped]


def as_html(pieces: Iterable[Piece]) -> str:
    """Return the text of pieces."""
    return "".join(piece.raw for piece in pieces)
