"""HTML pages as pieces of their text: an element is taken out, and the rest stays as it was written."""
# ruff: noqa: ARG002 - the parser says what a piece holds; where it begins is enough

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
    """A tag, or what stands between two, as it is written in the page: `raw`.

    Text of scripts and styles, comments and declarations are of the kind `other`.
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
    """Notes where each piece begins; the parser says it in lines and columns."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = [0, *accumulate(len(line) + 1 for line in page.split("\n"))]
        self.begun: list[tuple[int, Kind, str, Mapping[str, str | None]]] = []
        self.feed(page)
        self.close()

    def _begin(self, kind: Kind, tag: str = "", attributes: Mapping[str, str | None] | None = None) -> None:
        line, column = self.getpos()
        self.begun.append((self._lines[line - 1] + column, kind, tag, attributes or {}))

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
    """Return the pieces of a page, in order; their `raw` texts together are the page."""
    begun = _Reader(page).begun
    pieces: list[Piece] = []
    for (at, kind, tag, attributes), stop in zip(begun, [*(at for at, *_ in begun[1:]), None], strict=False):
        raw = page[at:stop]
        if pieces and kind == pieces[-1].kind == "text":
            pieces[-1] = Piece("text", pieces[-1].raw + raw)
        else:
            pieces.append(Piece(kind, raw, tag, attributes))
    return pieces


def elements(pieces: Sequence[Piece]) -> list[range]:
    """Return which pieces each element is, its tags included, in the order of their start tags.

    An element without an end tag, other than those that have none, is its start tag alone.
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


def without_elements(pieces: Sequence[Piece], gone: Iterable[range]) -> list[Piece]:
    """Return the pieces without those of some elements."""
    left_out = {at for element in gone for at in element}
    return [piece for at, piece in enumerate(pieces) if at not in left_out]


def as_html(pieces: Iterable[Piece]) -> str:
    """Return what pieces are together."""
    return "".join(piece.raw for piece in pieces)
