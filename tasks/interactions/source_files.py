"""The files of a source: listed under a path or URL, dated by name, fetched if remote."""

from __future__ import annotations

import hashlib
import re
import socket
import stat
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs

from sql.landing.landing import SUFFIXES, format_suffix
from sql.source import Source
from sql.timestamps import file_date
from tasks.runtime.errors import InputError, SourceUnreachableError

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
    with the content: a modification time or entity tag. `local` is true for a file on this machine:
    its address is a plain path, even if fsspec would read the name as a URL.
    """

    address: str
    size: int
    stamp: str
    day: date | None
    local: bool = False


def find_files(source: Source, as_of: date) -> list[SourceFile]:
    """Return the source's files sorted by name, without files dated after `as_of`.

    Raises
    ------
    InputError
        If there are no files, or a name lacks the date that file_date asks for.
    """
    paths = source.path if isinstance(source.path, tuple) else (source.path,)
    files = [file for path in paths for file in _find_under(path, source)]
    if not files:
        raise InputError(f"[source] path = {_shown(source)}: no files there; expected {SUFFIXES}")
    by_address = {file.address: file for file in files}
    return [file for _, file in sorted(by_address.items()) if file.day is None or file.day <= as_of]


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


def find_file(path: str, section: str) -> SourceFile:
    """Return the file at a path or URL; messages name the configuration `section` it belongs to."""
    try:
        filesystem, name = url_to_fs(path)
        if not filesystem.isfile(name):
            raise InputError(f"[{section}] path = {redacted(path)}: no such file")
        size = int(filesystem.info(name).get("size") or 0)
    except InputError:
        raise
    except Exception as error:  # of the library that serves this URL
        raise _input_error(error, f"[{section}] path = {redacted(path)}: cannot be read") from None
    return SourceFile(path, size, "", None)


def fetch(file: SourceFile, folder: Path) -> Path:
    """Return a local path of the file; a remote file is downloaded into `folder`."""
    if file.local:
        return Path(file.address)
    filesystem, path = url_to_fs(file.address)
    if "file" in _protocols(filesystem):
        return Path(path)
    target = folder / Path(path).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        filesystem.get_file(path, str(target))
    except Exception as error:
        raise _input_error(error, f"{redacted(file.address)}: cannot be downloaded") from None
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


def _input_error(error: BaseException, message: str) -> InputError:
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


def _shown(source: Source) -> str:
    paths = source.path if isinstance(source.path, tuple) else (source.path,)
    return ", ".join(redacted(path) for path in paths)


def _find_under(path: str, source: Source) -> list[SourceFile]:
    try:
        filesystem, name = url_to_fs(path)
        wild = "*[" if path.startswith(("http://", "https://")) else "*?["
        literal = "file" in _protocols(filesystem) and filesystem.exists(name)  # a folder named [a]
        if any(letter in name for letter in wild) and not literal:
            infos = filesystem.glob(name, detail=True)
        elif filesystem.isdir(name):
            infos = {path: info for path, info in filesystem.find(name, detail=True).items() if _is_log(path)}
        elif filesystem.exists(name):
            infos = {name: filesystem.info(name)}
        else:
            raise InputError(f"[source] path = {redacted(path)}: no such file or folder")
    except InputError:
        raise
    except Exception as error:  # of the library that serves this URL
        raise _input_error(error, f"[source] path = {redacted(path)}: cannot be read") from None
    local = "file" in _protocols(filesystem)
    files = []
    for name, info in infos.items():
        if info.get("type") == "directory":
            continue
        if local:
            _require_file(name)
        address = name if local else filesystem.unstrip_protocol(name)
        stamp = str(
            info.get("mtime") or info.get("ETag") or info.get("LastModified") or info.get("updated") or ""
        )
        day = _day(name, source.file_date)
        files.append(SourceFile(address, int(info.get("size") or 0), stamp, day, local))
    return files


def _require_file(name: str) -> None:
    """Raise InputError unless a path is a regular file: reading a pipe or device may never end."""
    try:
        mode = Path(name).stat().st_mode
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{name}: expected a file, got a folder, pipe, socket or device")


def _protocols(filesystem: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (filesystem.protocol,) if isinstance(filesystem.protocol, str) else tuple(filesystem.protocol)


def _is_log(name: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    return not base.startswith((".", "_")) and format_suffix(base) is not None


def _day(name: str, pattern: str | None) -> date | None:
    if pattern is None:
        return None
    base = name.rsplit("/", 1)[-1]
    day = file_date(base, pattern)
    if day is None:
        raise InputError(
            f"{base}: expected a date like {pattern} in the file's name, as [source] file_date says"
        )
    return day
