"""The files of a source: dated by name, fetched if remote, named without secrets."""

from __future__ import annotations

import hashlib
import re
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
from fsspec.core import url_to_fs

from sql.landing.landing import FieldNames
from sql.timestamps import file_date
from tasks.runtime.errors import InputError, SourceUnreachableError

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
CONNECTION_ERRORS = (ConnectionError, TimeoutError, socket.gaierror)
CONNECTION_ERROR_NAMES = {  # of libraries behind fsspec, which are loaded only for their own URLs
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "HTTPClientError",  # botocore
    "EndpointConnectionError",
    "TransportError",  # google.auth
    "ServiceRequestError",  # azure
    "ServiceResponseError",
}


@dataclass(frozen=True)
class SourceFile:
    """One file of the source.

    `address` is its path or URL, `size` its bytes, and `day` the date in its name. `stamp` changes
    with the content: a modification time or entity tag. `modified` is the time of the last change, in
    seconds since 1970, None if unknown. `local` is true for a file on this machine:
    its address is a plain path, even if fsspec would read the name as a URL. `partitions` are the
    columns of the source that its folders or its table tell, `field_names` the table's names of the
    others.
    """

    address: str
    size: int
    stamp: str
    day: date | None
    local: bool = False
    modified: float | None = None
    partitions: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    field_names: FieldNames | None = field(default=None, hash=False, repr=False)


def last_day(file: SourceFile, pattern: str | None) -> date | None:
    """Return the last day of the period in a file's name; None if the name has no date."""
    if file.day is None or pattern is None:
        return None
    directives = set(re.findall("%.", pattern))
    if {"%d", "%j", "%u"} & directives:
        return file.day
    if "%V" in directives:
        return file.day + timedelta(days=6)
    months = 1 if {"%m", "%b", "%B"} & directives else 12
    return (file.day.replace(day=1) + timedelta(days=31 * months)).replace(day=1) - timedelta(days=1)


def modified(info: Mapping[str, Any]) -> float | None:
    """Return when a file was last changed, in seconds since 1970; None if its store does not tell."""
    when = next((info[key] for key in ("mtime", "LastModified", "updated") if info.get(key)), None)
    if isinstance(when, str):
        with suppress(ValueError):
            when = datetime.fromisoformat(when)
    if isinstance(when, datetime):
        return when.timestamp()
    return float(when) if isinstance(when, int | float) else None


def fetch(file: SourceFile, folder: Path) -> Path:
    """Return a local path of the file; a remote file is downloaded into `folder`."""
    if file.local:
        return Path(file.address)
    filesystem, path = url_to_fs(file.address)
    if "file" in protocols(filesystem):
        return Path(path)
    target = folder / Path(path).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        filesystem.get_file(path, str(target))
    except Exception as error:
        raise input_error(error, f"{redacted(file.address)}: cannot be downloaded") from None
    return target


def redacted(address: str) -> str:
    """Return a text without the secrets of URLs in it: user, password and query.

    A query is replaced by its hash. Different URLs thus stay different, and no name looks like a
    glob.
    """
    address = re.sub(r"(?<=://)[^/\s]*@", "", address)
    return re.sub(r"(?<=\S)(?<![?])[?]([^\s'\"?]+)", _hashed, address) if "://" in address else address


def _hashed(query: re.Match[str]) -> str:
    return "#" + hashlib.sha256(query.group(1).encode()).hexdigest()[:12]


def input_error(error: BaseException, message: str) -> InputError:
    """Return the error to raise for a library's error; connection errors can be retried."""
    message = f"{message}: {redacted(str(error)) or type(error).__name__}"
    return SourceUnreachableError(message) if _is_connection_error(error) else InputError(message)


def _is_connection_error(error: BaseException | None) -> bool:
    """Return whether an error or its causes come from the connection or from a failing server."""
    while error is not None:
        if (
            isinstance(error, CONNECTION_ERRORS)
            or {kind.__name__ for kind in type(error).__mro__} & CONNECTION_ERROR_NAMES
        ):
            return True
        status = getattr(error, "status", None)
        if isinstance(status, int) and (status in (408, 429) or status >= 500):
            return True
        error = error.__cause__ or error.__context__
    return False


def protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    """Return the names by which a file system's addresses begin."""
    return (filesystem.protocol,) if isinstance(filesystem.protocol, str) else tuple(filesystem.protocol)


def partitions(address: str) -> dict[str, str | None]:
    """Return the columns that the folders of an address tell, as Hive names them: country=FR."""
    told = {}
    for folder in address.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name.strip():
            told[unquote(name)] = None if value in {"", HIVE_NULL} else unquote(value)
    return told


def day_in(name: str, pattern: str | None, told: Mapping[str, str | None] | None = None) -> date | None:
    """Return the date in a file's name, else in a folder such as day=2026-11-01.

    A pattern with a slash is looked for in the whole path. None without a date if a column that the
    file's table or folders tell (`told`) has no value there: its rows without a date are together.
    InputError if there is no date otherwise.
    """
    if pattern is None:
        return None
    *folders, base = name.split("/")
    texts = [name] if "/" in pattern else [base, *(folder for folder in reversed(folders) if "=" in folder)]
    day = next(filter(None, (file_date(text, pattern) for text in texts)), None)
    if day is None and None not in (partitions(name) if told is None else told).values():
        raise InputError(
            f"{base}: expected a date like {pattern} in the file's name, as [source] file_date says"
        )
    return day


def require_file(name: str) -> None:
    """Raise InputError unless a path is a regular file: reading a pipe or device may never end."""
    try:
        mode = Path(name).stat().st_mode
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{name}: expected a file, got a folder, pipe, socket or device")
