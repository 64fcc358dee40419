"""The files of a source: found under a path or address, dated by their names, brought to this machine."""

from __future__ import annotations

import hashlib
import re
import socket
import stat
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import fsspec
from fsspec.core import url_to_fs

from sql.landing.landing import SUFFIXES, format_suffix
from sql.source import Source
from tasks.runtime.errors import InputError, SourceUnreachableError

PARTS = {
    "%Y": r"\d{4}",
    "%m": r"\d{2}",
    "%d": r"\d{2}",
    "%H": r"\d{2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%j": r"\d{3}",
}
CONNECTION = (ConnectionError, TimeoutError, socket.gaierror)
CONNECTION_NAMES = {  # of the libraries behind fsspec, which are loaded only for the addresses they serve
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

    `address` is where it is (a path, or a URL), `size` its bytes, `stamp` what changes when the file
    does (modification time or entity tag), `day` the date in its name. `local` is true of what was found on
    this machine: its address is a path and nothing else, whatever fsspec would make of the name.
    """

    address: str
    size: int
    stamp: str
    day: date | None
    local: bool = False


def find(source: Source, as_of: date) -> list[SourceFile]:
    """Return the source's files in the order of their names; those dated after `as_of` are left alone.

    Raises
    ------
    InputError
        If nothing is there, or a name has no date where file_date says that it has one.
    """
    paths = source.path if isinstance(source.path, tuple) else (source.path,)
    found = [file for path in paths for file in _find_under(path, source)]
    if not found:
        raise InputError(f"[source] path = {_shown(source)}: no files there; expected {SUFFIXES}")
    dated = {file.address: file for file in found}
    return [file for _, file in sorted(dated.items()) if file.day is None or file.day <= as_of]


def last_day(file: SourceFile, pattern: str | None) -> date | None:
    """Return the last day of the period in a file's name: the day, month or year; None without one."""
    if file.day is None or pattern is None:
        return None
    if {"%d", "%j"} & set(re.findall("%.", pattern)):
        return file.day
    months = 1 if "%m" in pattern else 12
    return (file.day.replace(day=1) + timedelta(days=31 * months)).replace(day=1) - timedelta(days=1)


def find_one(path: str, section: str) -> SourceFile:
    """Return the one file at a path or address; `section` is whose it is, for the message."""
    try:
        filesystem, place = url_to_fs(path)
        if not filesystem.isfile(place):
            raise InputError(f"[{section}] path = {redacted(path)}: no such file")
        size = int(filesystem.info(place).get("size") or 0)
    except InputError:
        raise
    except Exception as error:  # of whatever library serves the address
        said = redacted(str(error)) or type(error).__name__
        raise _refused(error, f"[{section}] path = {redacted(path)}: cannot be read: {said}") from None
    return SourceFile(path, size, "", None)


def fetch(file: SourceFile, folder: Path) -> Path:
    """Return a local path of the file; what is not on this machine is downloaded into `folder`."""
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
        said = redacted(str(error)) or type(error).__name__
        raise _refused(error, f"{redacted(file.address)}: cannot be downloaded: {said}") from None
    return target


def redacted(address: str) -> str:
    """Return a text without the secrets of the URLs in it: user and password, and what follows the `?`.

    Of the latter remains a hash, so that two addresses stay two, and no name looks like a glob.
    """
    address = re.sub(r"(?<=://)[^/\s]*@", "", address)
    return re.sub(r"(?<=\S)(?<![?])[?]([^\s'\"?]+)", _hashed, address) if "://" in address else address


def _hashed(query: re.Match[str]) -> str:
    return "#" + hashlib.sha256(query.group(1).encode()).hexdigest()[:12]


def _refused(error: BaseException, message: str) -> InputError:
    """Return the error for what a library said: of a connection that may be there again, or of the input."""
    return SourceUnreachableError(message) if _is_connection(error) else InputError(message)


def _is_connection(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is of the connection, or of a server in trouble."""
    while error is not None:
        if (
            isinstance(error, CONNECTION)
            or {kind.__name__ for kind in type(error).__mro__} & CONNECTION_NAMES
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
        filesystem, place = url_to_fs(path)
        wild = "*[" if path.startswith(("http://", "https://")) else "*?["
        itself = "file" in _protocols(filesystem) and filesystem.exists(place)  # a folder named [a]
        if any(letter in place for letter in wild) and not itself:
            infos = filesystem.glob(place, detail=True)
        elif filesystem.isdir(place):
            infos = {
                name: info for name, info in filesystem.find(place, detail=True).items() if _is_log(name)
            }
        elif filesystem.exists(place):
            infos = {place: filesystem.info(place)}
        else:
            raise InputError(f"[source] path = {redacted(path)}: no such file or folder")
    except InputError:
        raise
    except Exception as error:  # of whatever library serves the address
        said = redacted(str(error)) or type(error).__name__
        raise _refused(error, f"[source] path = {redacted(path)}: cannot be read: {said}") from None
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
    """Raise InputError unless a local path leads to a file: reading a pipe or a device may never end."""
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
    match = re.search(_as_regex(pattern), base)
    try:
        return datetime.strptime(match.group(0), pattern).date() if match else _undated(base, pattern)  # noqa: DTZ007
    except ValueError:
        return _undated(base, pattern)


def _as_regex(pattern: str) -> str:
    return re.sub(r"%\w|.", lambda part: PARTS.get(part.group(0), re.escape(part.group(0))), pattern)


def _undated(base: str, pattern: str) -> date:
    raise InputError(f"{base}: expected a date like {pattern} in the file's name, as [source] file_date says")
