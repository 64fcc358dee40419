"""DuckDB's own CSV reader, used for the files where its rows are known to be the lines of the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sql.careful import check_columns, collect, csv_columns, land_carefully, positional
from sql.engine import EngineError
from sql.landing import Landed, Landing, RawFile, Scan, file_format, open_bytes
from sql.layout import Reading
from sql.text_rows import LONGEST_LINE, Lines

Execute = Callable[[str], list[tuple[int, ...]]]


class Shape(NamedTuple):
    """What files must share to be read by one statement."""

    columns: tuple[str, ...]
    newline: str


def land(
    files: Sequence[RawFile],
    scans: Mapping[int, Scan],
    reading: Reading,
    mapped: Sequence[str],
    folder: Path,
    execute: Execute,
) -> Landing:
    """Land files: the regular ones through DuckDB, the others through the careful reader.

    A file is regular if it is CSV in UTF-8 with one kind of line end and without NUL bytes. If the
    rows that DuckDB makes of such a file are not as many as its lines, one of them spans lines or is
    malformed, and the file is read again with care.
    """
    shapes: dict[Shape, list[RawFile]] = defaultdict(list)
    careful: list[RawFile] = []
    for file in files:
        shape = _shape(file, scans[file.file_id], reading, mapped)
        if shape is None:
            careful.append(file)
        else:
            shapes[shape].append(file)
    relations: list[Landed] = []
    rows: dict[int, int] = {}
    for place, (shape, members) in enumerate(shapes.items()):
        relation = f"landed_direct_{place}"
        counts = _land_directly(relation, members, scans, shape, reading, folder, execute)
        kept = {file_id: count for file_id, count in counts.items() if count is not None}
        careful += [file for file in members if file.file_id not in kept]
        rows |= kept
        if kept:
            relations.append(Landed(relation, shape.columns))
    read = [land_carefully(file, reading, mapped, folder / "careful") for file in careful]
    rows |= {file.file_id: file.rows for file in read}
    return collect(read, relations, rows, lambda name, paths: execute(_view(name, paths)))


def _shape(file: RawFile, scan: Scan, reading: Reading, mapped: Sequence[str]) -> Shape | None:
    if file_format(file.name, reading) != "csv" or scan.odd or scan.newline is None:
        return None
    if reading.encoding.lower().replace("-", "") != "utf8" or len(reading.delimiter) > 1:
        return None
    with open_bytes(file.path) as stream:
        columns = csv_columns(file, reading, Lines(stream, reading.encoding))
    check_columns(file.name, columns, mapped)
    return Shape(columns, scan.newline)


def _land_directly(
    relation: str,
    files: Sequence[RawFile],
    scans: Mapping[int, Scan],
    shape: Shape,
    reading: Reading,
    folder: Path,
    execute: Execute,
) -> dict[int, int | None]:
    """Make `relation` from CSV files; return each file's rows, None where they are not its lines."""
    target = folder / f"{relation}.parquet"
    by_place = {str(file.path): file for file in files}
    try:
        execute(
            f"COPY ({_read_csv(files, shape, reading)}) TO {_quoted(target)} (FORMAT parquet, COMPRESSION snappy)"
        )
    except EngineError:
        return {file.file_id: None for file in files}
    execute(
        f"CREATE OR REPLACE TABLE {relation}_files AS SELECT filename, count(*) AS n, min(file_row_number) AS first "
        f"FROM read_parquet({_quoted(target)}, file_row_number = true) GROUP BY filename"
    )
    header = int(reading.header)
    counts: dict[int, int | None] = {file.file_id: None for file in files}
    for file in files:
        if scans[file.file_id].lines == header:
            counts[file.file_id] = 0
    execute(f"ALTER TABLE {relation}_files ADD COLUMN file_id INTEGER")
    for filename, found in execute(f"SELECT filename, n FROM {relation}_files"):
        file = by_place[str(filename)]
        if found == scans[file.file_id].lines - header:
            counts[file.file_id] = found
            execute(
                f"UPDATE {relation}_files SET file_id = {file.file_id} WHERE filename = {_quoted(filename)}"
            )
    columns = ", ".join(positional(shape.columns))
    execute(
        f"CREATE OR REPLACE VIEW {relation} AS SELECT file_id, file_row_number - first + {1 + header} AS line, {columns} "
        f"FROM read_parquet({_quoted(target)}, file_row_number = true) JOIN {relation}_files USING (filename) "
        "WHERE file_id IS NOT NULL"
    )
    return counts


def _read_csv(files: Sequence[RawFile], shape: Shape, reading: Reading) -> str:
    columns = ", ".join(f"'{column}': 'VARCHAR'" for column in positional(shape.columns))
    newline = shape.newline.replace("\r", "\\r").replace("\n", "\\n")
    options = (
        f"columns = {{{columns}}}, delim = {_quoted(reading.delimiter)}, header = {str(reading.header).lower()}, "
        f"new_line = '{newline}', auto_detect = false, quote = '\"', escape = '\"', filename = true, "
        f"strict_mode = true, null_padding = false, max_line_size = {LONGEST_LINE}"
    )
    return f"SELECT * FROM read_csv([{', '.join(_quoted(file.path) for file in files)}], {options})"


def _view(name: str, paths: Sequence[Path]) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet([{', '.join(map(_quoted, paths))}])"


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
