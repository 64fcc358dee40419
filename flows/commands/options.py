"""Options shared by several commands: configuration, overrides, store, date, output."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.store.layout import Store

DEFAULT_CONFIG = Path("nightshelf.toml")
DAY_FORMATS = ["%Y-%m-%d"]

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="NIGHTSHELF_CONFIG", help="The configuration file, which names the store."
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; then no configuration is read.")
]
ReleaseOption = Annotated[
    str | None, typer.Option("--release", help="A release's id; default: the active release.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=DAY_FORMATS, help="The date to run for; default: yesterday."),
]
EngineOption = Annotated[
    str | None, typer.Option("--engine", help="duckdb or spark; default: as configured.")
]
OtherStoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; default: as configured.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Replace a configuration key, such as models.als.factors=64; repeatable."),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="The folder with the protocol's files.")]
PrefectOption = Annotated[
    bool, typer.Option(help="Run as a Prefect flow, or run the same steps without Prefect.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def override_lines(
    changes: Iterable[str] | None = None, engine: str | None = None, store: Path | None = None
) -> tuple[str, ...]:
    """Return the lines `key=value` that replace configuration keys; the last for a key counts."""
    from tasks.configuration.overrides import line_of

    lines = list(changes or ())
    if engine is not None:
        lines.append(line_of("engine.name", engine))
    if store is not None:
        lines.append(line_of("store.path", str(store.absolute())))
    return tuple(lines)


def configured(config: Path, lines: Iterable[str] = ()) -> Configuration:
    """Return the configuration with the keys in `lines` replaced.

    Raises
    ------
    UserError
        If a line is not `key=value`, or the configuration is invalid.
    """
    from tasks.configuration.configuration import load
    from tasks.configuration.overrides import overrides_of

    return load(config, overrides_of(lines))


def date_of(as_of: datetime | None, configuration: Configuration) -> date:
    """Return the date of --as-of, or yesterday in the time zone of the source."""
    from flows.orchestration.parameters import yesterday

    return as_of.date() if as_of else yesterday(configuration)


def find_store(config: Path, store: Path | None) -> Store:
    """Return the store at `store`, or else the store that the configuration names.

    Raises
    ------
    UserError
        If the folder does not exist, or the configuration cannot be read.
    """
    from tasks.configuration.file import store_path
    from tasks.runtime.errors import UserError
    from tasks.store.layout import Store

    if store is not None:
        if not store.is_dir():
            raise UserError(f"--store {store}: no such folder")
        return Store(store)
    if not config.exists():
        raise UserError(
            f"{config}: no such configuration file; name it with --config (or NIGHTSHELF_CONFIG), or name "
            "the store with --store"
        )
    return Store(store_path(config))
