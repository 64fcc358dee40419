"""Generates docs/configuration.md: `python -m tasks.configuration.reference`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from models import registry
from models.base import ModelConfig
from tasks.configuration.configuration import Configuration, fields_of

INTRODUCTION = """# Configuration

One TOML file. An unknown key or a bad value is an error that names what was expected, what came and
what is known. Relative paths are relative to the file's folder; `${NAME}` and
`${NAME:-default}` are read from the environment. `deployments/` holds complete examples:
`demo.toml`, `online-retail.toml`, `movielens-1m.toml`, `movielens-small.toml`.

Predicates (`where`, `positive`) are SQL over the columns of an interaction: user_id, item_id,
timestamp, event_date, event_type, value, weight, session_id, position and the attributes of
`[source.attributes]`. They are parsed and checked: comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS
NULL, arithmetic, lower, upper, trim, length, abs, coalesce, substring and regexp_like; nothing
else.

This page is written by `python -m tasks.configuration.reference`.
"""


def reference() -> str:
    """Return the page: a table of keys for every section and every model."""
    lines = [INTRODUCTION]
    for name, field in fields_of(Configuration).items():
        if name != "models":
            lines += section(name, field)
    for model in registry.built_in():
        lines += table(f"models.{model}", type(registry.config(model, {})))
    return "\n".join(lines)


def section(name: str, field: FieldInfo) -> list[str]:
    """Return the lines about a section and its nested sections."""
    model = field.annotation
    if name == "source":
        (model, _) = get_args(model)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    lines = table(name, model)
    for key, inner in model.model_fields.items():
        lines += section(f"{name}.{key}", inner)
    return lines


def table(name: str, model: type[BaseModel]) -> list[str]:
    """Return the lines about the keys of a section."""
    summary = re.sub(r"^\[.*?\]: ", "", (model.__doc__ or "").strip().splitlines()[0])
    summary = summary[0].upper() + summary[1:]
    head = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    return [f"## [{name}]", "", summary, "", *head, *rows(model), ""]


def rows(model: type[BaseModel]) -> Iterator[str]:
    """Yield a line for each key that is not a section itself."""
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        default = (
            "required" if field.is_required() else default_text(field.get_default(call_default_factory=True))
        )
        words = kind(field.annotation)
        if issubclass(model, ModelConfig) and type(None) in get_args(field.annotation):
            words += " or `none`"
        yield f"| {key} | {words} | {default} | {field.description or ''} |"


NAMES: dict[Any, str] = {
    Any: "values",
    Path: "path",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
}


def kind(annotation: Any) -> str:
    """Return a type in plain words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(kind(member) for member in inner if member is not type(None))
    if origin in (tuple, dict):
        return f"list of {kind(inner[0])}" if origin is tuple else f"table of {kind(inner[1])}"
    annotation = inner[0] if origin is Annotated else annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table of " + ", ".join(annotation.model_fields)
    return NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default_text(value: Any) -> str:
    """Return a default as the file would have it; empty for no value."""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        value = list(value)
    return f"`{json.dumps(value, default=str)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
