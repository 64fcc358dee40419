"""Compressed logs: whole ones are read, damaged ones and bombs are refused, whatever wrote them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from sql.errors import SourceError
from sql.landing.landing import RawFile, open_text
from sql.reading import Reading

LOG = b"user,item,time\n" + b"".join(b"u%d,i,2026-01-05\n" % n for n in range(20_000))


def zipped(data: bytes, *more: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("log.csv", data)
        for name in more:
            archive.writestr(name, b"")
    return target.getvalue()


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": zipped,
}
STREAMS = [suffix for suffix in WRITERS if suffix != ".zip"]


def content(folder: Path, suffix: str, data: bytes) -> bytes:
    path = folder / f"log.csv{suffix}"
    path.write_bytes(data)
    with open_text(RawFile(1, path, path.name), Reading()) as stream:
        return stream.read()


@pytest.mark.parametrize("suffix", [*WRITERS, ".ZST"])
@pytest.mark.parametrize("data", [LOG, b"", b"a\n"], ids=["log", "empty", "short"])
def test_a_compressed_file_is_read_to_its_end(tmp_path: Path, suffix: str, data: bytes) -> None:
    assert content(tmp_path, suffix, WRITERS[suffix.lower()](data)) == data


@pytest.mark.parametrize("suffix", STREAMS)
def test_streams_behind_one_another_are_read(tmp_path: Path, suffix: str) -> None:
    written = WRITERS[suffix](LOG) + WRITERS[suffix](b"more\n")
    assert content(tmp_path, suffix, written) == LOG + b"more\n"


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("cut", [1, 20, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path: Path, suffix: str, cut: float) -> None:
    whole = WRITERS[suffix](LOG)
    size = int(len(whole) * cut) if isinstance(cut, float) else len(whole) - cut
    with pytest.raises(SourceError, match=rf"log.csv{suffix}: the {suffix} is truncated or corrupt"):
        content(tmp_path, suffix, whole[:size])


@pytest.mark.parametrize("suffix", STREAMS)
def test_something_else_behind_the_end_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SourceError, match=f"the {suffix} is truncated or corrupt"):
        content(tmp_path, suffix, WRITERS[suffix](LOG) + b"u1,i1,2026\n")


def test_padding_behind_an_xz_is_no_damage(tmp_path: Path) -> None:
    assert content(tmp_path, ".xz", lzma.compress(LOG) + b"\0" * 8) == LOG


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path, suffix: str) -> None:
    bomb = WRITERS[suffix](bytes(1 << 26))
    with pytest.raises(SourceError, match="over 200 times as many"):
        content(tmp_path, suffix, bomb)


@pytest.mark.parametrize("suffix", STREAMS)
def test_a_compressed_file_without_its_suffix_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SourceError, match=rf"log.csv: is compressed \({suffix}\); expected a name that ends"):
        content(tmp_path, "", WRITERS[suffix](LOG))


def test_an_archive_must_hold_one_file(tmp_path: Path) -> None:
    assert content(tmp_path, ".zip", zipped(LOG, "__MACOSX/._log.csv", "folder/")) == LOG
    for archive, message in (
        (zipped(LOG, "other.csv"), "expected one file in the archive, got 2"),
        (b"PK\x05\x06" + bytes(18), "got 0"),
        (zipped(LOG).replace(b"\x08\x00", b"\x09\x00"), "expected a usual archive: .*method"),
    ):
        with pytest.raises(SourceError, match=message) as caught:
            content(tmp_path, ".zip", archive)
        assert "corrupt" not in str(caught.value)  # to deliver it again would not help
