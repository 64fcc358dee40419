"""The proposed configuration on disk: a file that exists is only replaced on request."""

from __future__ import annotations

from pathlib import Path

from tasks.runtime.errors import UserError
from tasks.store.files import write_text_atomically


def require_free(path: Path, *, force: bool) -> None:
    """Raise UserError if a file cannot be written at `path`: its folder is missing, or it exists."""
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: expected an existing folder for the file, got {path.absolute().parent}")
    if path.is_dir():
        raise UserError(f"{path}: expected the name of a file, got a folder")
    if path.exists() and not force:
        raise UserError(f"{path} exists already: name another file with --output, or replace it with --force")


def write_proposal(text: str, path: Path, *, force: bool) -> None:
    """Write a proposal as a whole, or raise as `require_free` does."""
    require_free(path, force=force)
    write_text_atomically(path.absolute(), text)
