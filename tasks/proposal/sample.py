"""The beginnings of files: what a proposal looks at, and what its settings are tried on."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from pathlib import Path

from sql.errors import SourceError
from sql.landing.compression import compression
from sql.landing.landing import (
    FORMATS,
    TEXTS,
    RawFile,
    format_suffix,
    is_ascii_based,
    open_text,
)
from sql.landing.objects.json_rows import DECODER
from sql.reading import Reading
from tasks.runtime.errors import InputError
from tasks.sources.source_files import SourceFile, fetch, redacted

HEAD = 1 << 20  # bytes read of a file, decompressed
TAIL = 1 << 15  # bytes read of its end, if it is not compressed
MOST_LINES = 2000
MOST_BYTES = 1 << 26  # of a file that is fetched whole
MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"Obj\x01": "avro", b"ORC": "orc"}
SIGNATURES = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
RAW = Reading(encoding="latin-1")  # bytes as they are
SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Head:
    """The first lines of a text file, decompressed, and the encoding in which they make sense."""

    text: str
    encoding: str
    whole: bool


def fetched(file: SourceFile, folder: Path) -> Path:
    """Return a path of the file on this machine; InputError if it is too large to be fetched for a look."""
    if not file.local and file.size > MOST_BYTES:
        raise InputError(
            f"{redacted(file.address)}: {file.size:,} bytes at an address are too many for a look; expected "
            f"at most {MOST_BYTES:,}, or a file on this machine"
        )
    return fetch(file, folder)


def head_of(path: Path, name: str) -> Head:
    """Return the first lines of a text file; InputError if it cannot be read."""
    data = _start(path, name)
    whole = len(data) <= HEAD
    encoding = _encoding(data)
    text = codecs.getincrementaldecoder(encoding)("ignore").decode(data[:HEAD], final=False)
    if not whole:
        text = text[: text.rfind("\n") + 1]
    return Head(text.removeprefix("\ufeff"), encoding, whole)


def _start(path: Path, name: str) -> bytes:
    """Return the first bytes of a text file, decompressed: one more than HEAD if there are as many."""
    try:
        with open_text(RawFile(1, path, name), RAW) as stream:
            return stream.read(HEAD + 1)
    except (EOFError, OSError, SourceError) as error:
        message = str(error)
        raise InputError(message if name in message else f"{name}: cannot be read: {message}") from None


def _encoding(data: bytes) -> str:
    """Return an encoding in which bytes are text: UTF-8 if it can be."""
    for mark, encoding in SIGNATURES:
        if data.startswith(mark):
            return encoding
    if data[:4000].count(0) > len(data[:4000]) / 4:
        return "utf-16-le" if data[1:4000:2].count(0) > data[0:4000:2].count(0) else "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(data, final=False)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def format_of(path: Path, name: str) -> str:
    """Return the format of a file by its suffix, unless its content is another; text is CSV."""
    with path.open("rb") as stream:
        start = stream.read(6)
    for magic, form in MAGIC.items():
        if start.startswith(magic):
            return form
    suffix = format_suffix(name)
    if suffix is not None and FORMATS[suffix] not in TEXTS:
        return FORMATS[suffix]
    text = head_of(path, name).text.lstrip()
    return "jsonl" if re.match(r"\[?\s*\{|\[\s*\]", text) else "csv"


def cut(path: Path, name: str, form: str, encoding: str, folder: Path) -> Path:
    """Write the beginning of a file as a file of its own; return its path, or that of a small file.

    Only whole records of a text file are kept, with its last lines, and the first rows of a Parquet
    file. The name keeps its suffix, without that of a compression.
    """
    target = folder / Path(plain_name(name)).name
    if form == "parquet":
        return _cut_parquet(path, target)
    if form not in TEXTS:
        return path
    data = _start(path, name)
    whole = len(data) <= HEAD
    encoding, errors = (encoding, "ignore") if not is_ascii_based(encoding) else ("utf-8", "surrogateescape")
    text = codecs.getincrementaldecoder(encoding)(errors).decode(data[:HEAD], final=False)
    lines = text.split("\n")
    if not whole or len(lines) > MOST_LINES:
        text = _whole_records("\n".join([*lines[: min(MOST_LINES, len(lines) - 1)], ""]), form)
        if is_ascii_based(encoding) and not text.lstrip().startswith("[") and plain_name(name) == name:
            text += _last_lines(path, len(text.encode(encoding, "surrogateescape")))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode(encoding, "surrogateescape"))
    return target


def _last_lines(path: Path, after: int) -> str:
    """Return the last lines of a file that is not compressed: the latest events, if it is in order.

    They begin behind the first `after` bytes. A cut in a quoted record would make rows of its lines,
    so an odd number of quotes gives none.
    """
    with path.open("rb") as stream:
        start = max(after, stream.seek(0, 2) - TAIL)
        stream.seek(start)
        data = stream.read(TAIL)
    if start > after:
        data = data[data.find(b"\n") + 1 :]
    return "" if data.count(b'"') % 2 else data.decode("utf-8", "surrogateescape")


def plain_name(name: str) -> str:
    """Return a file's name without the suffix of a compression."""
    return name[: len(name) - len(compression(name) or "")]


def _whole_records(text: str, form: str) -> str:
    """Return text up to the end of its last whole record."""
    if form == "csv":
        if text.count('"') % 2 == 0:
            return text
        start = text[: text.rfind('"')]  # the last quote opens a field that was cut
        start = start[: start.rfind("\n") + 1]
        return start or text
    if not text.lstrip().startswith("["):
        return text
    at, ends = text.index("[") + 1, 0
    while True:  # an array: its records up to the cut
        at = SPACE.match(text, at).end()  # type: ignore[union-attr]
        try:
            _, at = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return text[:ends] + "]" if ends else text
        ends = at
        at = SPACE.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] != ",":
            return text[:ends] + "]"
        at += 1


def _cut_parquet(path: Path, target: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(path)
        int96 = any(
            source.schema.column(index).physical_type == "INT96" for index in range(len(source.schema))
        )
        batch = next(source.iter_batches(batch_size=MOST_LINES), None)
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = pa.Table.from_batches([batch] if batch is not None else [], source.schema_arrow)
        content = io.BytesIO()
        pq.write_table(rows, content, use_deprecated_int96_timestamps=int96, store_schema=True)
        target.write_bytes(content.getvalue())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from None
    return target
