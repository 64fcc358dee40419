"""Where a command looks: the options that name the configuration and the store, the same for all commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.store.layout import Store

DEFAULT_CONFIG = Path("nightshelf.toml")

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="NIGHTSHELF_CONFIG", help="The configuration, which names the store."
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; with it no configuration is read.")
]
ReleaseOption = Annotated[
    str | None, typer.Option("--release", help="A release's id; the active release if left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def find_store(config: Path, store: Path | None) -> Store:
    """Return the store given, or else the one that the configuration names.

    Raises
    ------
    UserError
        If the folder given does not exist, or there is no configuration that can be read.
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
