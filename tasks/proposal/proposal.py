"""A sample of logs to the text of a first nightshelf.toml."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sql.landing.text_rows import printable
from tasks.proposal.facts import distinguish, facts_of
from tasks.proposal.kinds import kinds_of
from tasks.proposal.looks import Look, look_at
from tasks.proposal.shapes import MOST_SHAPES, find_files, paths_of, relative, shapes_of
from tasks.runtime.errors import InputError
from tasks.sources.discovery import LeftOut
from tasks.sources.source_files import SourceFile

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "nightshelf.toml.j2"


@dataclass(frozen=True)
class ProposedSource:
    """A source of a proposal: its name, empty if it is the only one, and the files it was made from."""

    name: str
    files: tuple[SourceFile, ...]


@dataclass
class Proposal:
    """A proposed configuration.

    `text` is the file; `missing` are the fields that have to be filled in, with their candidates;
    `notes` is what to check; `sources` are those of the file, in its order.
    """

    text: str
    missing: dict[str, list[str]]
    notes: list[str]
    sources: list[ProposedSource] = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()

    @property
    def files(self) -> list[SourceFile]:
        """The files that it was made from."""
        return [file for source in self.sources for file in source.files]

    def fill_in(self) -> list[str]:
        """Return the lines of the file to fill in, with their numbers and the candidates."""
        lines = self.text.splitlines()
        found = []
        for role, candidates in self.missing.items():
            number = next(i for i, line in enumerate(lines, 1) if line.startswith(f"# {role} ="))
            known = ", ".join(candidates) or "none"
            found.append(f"line {number}: {role} (columns: {known})")
        return found


def propose(samples: Sequence[str], folder: Path, scratch: Path) -> Proposal:
    """Look at files and folders and propose a configuration that will lie in `folder`.

    Files of evidently different kinds, such as clicks and orders, become sources of their own.

    Raises
    ------
    InputError
        If there are no files, or none that can be read.
    """
    found = [find_files(sample) for sample in samples]
    files = {file.address: file for part in found for file in part.files}
    shapes = shapes_of(list(files.values()))
    looks = [look_at(shape, scratch / f"look-{number}") for number, shape in enumerate(shapes[:MOST_SHAPES])]
    readable = [look for look in looks if look.by_file]
    if not readable:
        problem = next((look.problem for look in looks if look.problem), "the files hold no rows")
        raise InputError(f"nothing can be proposed: {problem}")
    kinds, doubts = kinds_of(readable)
    best = kinds[0].best
    named = [*_folders(samples), *(table for part in found for table in part.tables)]
    sources = []
    for kind in kinds:
        paths = paths_of([look.shape for look in kind.looks], shapes, named, folder)
        sources.append(facts_of(kind) | {"path": paths if len(paths) > 1 else paths[0]})
    notes = [*best.notes, *(note for source in sources for note in source["notes"])]
    if len(kinds) > 1:
        notes += distinguish(kinds, sources)
    others = [look for look in looks if not any(look in kind.looks for kind in kinds)]
    missing = {role: best.fields.candidates.get(role, []) for role in best.fields.missing}
    text = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            sources=sources,
            missing=missing,
            others=[(relative(look.shape.pattern, folder), _described(look, doubts)) for look in others],
            catalogue=_catalogue(others, best, folder),
        )
    )
    return Proposal(
        text=text,
        missing=missing,
        notes=list(dict.fromkeys(notes)),
        sources=[
            ProposedSource(source["name"], tuple(file for look in kind.looks for file in look.shape.spread()))
            for kind, source in zip(kinds, sources, strict=True)
        ],
        left_out=tuple(left for part in found for left in part.left_out),
    )


def _folders(samples: Sequence[str]) -> list[str]:
    """Return the samples that are folders of this machine."""
    here = [sample for sample in samples if "://" not in sample and Path(sample).is_dir()]
    return [os.path.abspath(sample) for sample in here]  # noqa: PTH100 - links stay


def _described(look: Look, doubts: Mapping[str, str]) -> str:
    """Return a few words on files that are not part of the proposal."""
    doubt = doubts.get(look.shape.pattern)
    if doubt:
        return f"users, items and times, too, but {doubt}; if they are other events, add a [[source]]"
    if not look.by_file:
        return look.problem or "no rows"
    names = list(look.columns)
    if not names:
        return "no columns"
    return f"columns {', '.join(names[:6])}" + (", ..." if len(names) > 6 else "")


def _catalogue(others: Sequence[Look], best: Look, folder: Path) -> dict[str, str] | None:
    """Return a file that has the item's column and no time: it may be the catalogue of the items."""
    item = best.fields.columns.get("item")
    for look in others:
        if not look.by_file or "timestamp" in look.fields.columns:
            continue
        column = item if item in look.columns else look.fields.columns.get("item")
        if isinstance(column, str) and "user" not in look.fields.columns:
            title = next((name for name in look.columns if name.lower() in {"title", "name"}), None)
            facts = {"path": relative(look.shape.pattern, folder), "id": column}
            return facts | ({"title": title} if title else {})
    return None


@cache
def _environment() -> jinja2.Environment:
    """Return the environment of the template; the filter `toml` writes a text, a list or a number."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - a configuration file is no HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["toml"] = toml
    environment.filters["comment"] = lambda text: printable(" ".join(str(text).split()))
    return environment


def toml(value: Any) -> str:
    """Return a text, number or list of texts as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
