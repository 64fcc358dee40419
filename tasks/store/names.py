"""Names inside a store: runs, releases and dates, checked before they become paths."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import suppress
from typing import Final

from tasks.runtime.errors import StoreError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


_RELEASE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})-([A-Za-z0-9][A-Za-z0-9_-]{0,63})")


def checked_name(kind: str, name: str) -> str:
    """Return `name` if it is 1-64 of A-Z a-z 0-9 _ -, starting with a letter or digit; StoreError if not."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.isascii():
        raise StoreError(f"expected a {kind} of 1-64 letters, digits, '_' or '-', got {name!r}")
    return name


def checked_date(value: dt.date | str) -> dt.date:
    """Return a date from a date or its YYYY-MM-DD; StoreError for anything else, datetimes included."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        with suppress(ValueError):
            return dt.date.fromisoformat(value)
    raise StoreError(f"expected a date YYYY-MM-DD, got {value!r}")


def release_id_of(as_of: dt.date | str, run_id: str) -> str:
    """Return the id `<as_of>-<run_id>`, which sorts by date."""
    return f"{checked_date(as_of)}-{checked_name('run id', run_id)}"


def is_release_id(name: object) -> bool:
    """Tell whether this is the id of a release, existing or not."""
    with suppress(StoreError):
        return bool(split_release_id(name))  # type: ignore[arg-type]
    return False


def split_release_id(release_id: str) -> tuple[dt.date, str]:
    """Return the as_of date and the run id of a release id; StoreError when it is not one."""
    match = _RELEASE.fullmatch(release_id) if isinstance(release_id, str) else None
    if match is None or not release_id.isascii():
        raise StoreError(f"expected a release id <YYYY-MM-DD>-<run id>, got {release_id!r}")
    return checked_date(match[1]), match[2]
