"""Nights by Prefect with secrets: one is published, one cannot read a file, one has a bug."""

from __future__ import annotations

import logging
import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from flows.night import run as run_stations
from flows.run_nightly import run_with_prefect
from tasks.runtime.progress import silent

CONFIG, UNREACHABLE, FIRST, NAMES = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]


class Shop(LocalFileSystem):
    """Files behind URLs with a login: shop://user:password@host/path?token=..."""

    protocol = "shop"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        address = re.fullmatch(r"shop://[^@]*@(\w+)(/[^?]*)(\?.*)?", str(path))
        if address and address[1] == "closed":
            raise PermissionError(f"refused: {path}")
        return address[2] if address else super()._strip_protocol(path)


def leaking(night: Any, *_: Any) -> Any:
    """Fail like a library that logs all it knows and puts it into its messages."""
    known = [*night.configuration.engine.spark_settings.values(), str(night.configuration.items.path)]
    known += [os.environ[name] for name in NAMES]
    logging.getLogger("a.library").error("refused: %s", known)
    try:
        raise ConnectionError(f"refused: {known}")
    except ConnectionError as error:
        raise RuntimeError("cannot go on with", *known) from error


def main() -> None:
    fsspec.register_implementation("shop", Shop)
    record, message = run_with_prefect(Path(CONFIG), date.fromisoformat(FIRST), silent)
    assert record is not None, message
    record, message = run_with_prefect(Path(UNREACHABLE), date.fromisoformat(FIRST), silent)
    assert record is None
    print(message)
    run_stations.dataset_station = leaking
    _, message = run_with_prefect(Path(CONFIG), date.fromisoformat(FIRST), silent)
    print(message)


if __name__ == "__main__":
    main()
