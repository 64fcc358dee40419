"""The whole lines of a file, and its beginnings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.store import contents
from tasks.store.contents import whole_lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b"\n", b"a", b"bc"]), max_size=20).map(b"".join),
    st.sets(st.integers(0, 25)),
    st.integers(1, 7),
)
def test_hashes_and_lines_are_those_of_the_bytes_whatever_is_read_at_once(
    tmp_path: Path, data: bytes, sizes: set[int], chunk: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "CHUNK", chunk)
        whole, beginnings = whole_lines(path, sizes)
    end = data.rfind(b"\n") + 1
    for found, size in [(whole, end), *zip(beginnings, sorted(sizes - {0}), strict=False)]:
        assert found.size == size
        assert found.sha256 == hashlib.sha256(data[:size]).hexdigest()
        assert found.lines == data[:size].count(b"\n")
    assert len(beginnings) == len([size for size in sizes if 0 < size <= len(data)])
