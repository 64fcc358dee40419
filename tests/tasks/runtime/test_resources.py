"""Memory and threads are divided, and libraries with thread pools keep to them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info
from worlds.paths import IMPORTABLE

from models.options import BLOCK_BYTES, resource_limits, score_bytes, workers
from tasks.runtime.resources import POOLS, Resources, machine_resources

GIB = 2**30
CORES = len(os.sched_getaffinity(0))


def pools() -> set[int]:
    """Return the sizes of this process's BLAS and OpenMP pools."""
    return {pool["num_threads"] for pool in threadpool_info()}


def test_memory_is_divided_and_zero_threads_means_every_core() -> None:
    resources = Resources.of(GIB, 0)
    assert (resources.threads, resources.block_bytes) == (CORES, GIB // 4)
    assert resources.duckdb_settings == {"memory_limit": "614MiB", "threads": str(CORES)}
    assert Resources.of(GIB, 3, 2**20) == Resources(GIB, 3, 2**20)
    assert Resources.of(GIB, 3, 2**40).block_bytes == GIB // 4
    whole = machine_resources()
    assert whole.threads == CORES
    assert whole.memory < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("memory", "threads"), [(0, 1), (GIB, -1)])
def test_an_empty_budget_is_rejected(memory: int, threads: int) -> None:
    with pytest.raises(ValueError, match="expected memory of at least 1 byte and threads >= 0, got"):
        Resources.of(memory, threads)


def test_libraries_keep_to_the_threads_and_are_reset_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    np.ones((2, 2)) @ np.ones((2, 2))  # loads BLAS
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = (pools(), pa.cpu_count(), workers(), score_bytes(), {name: os.getenv(name) for name in POOLS})
    with Resources.of(GIB, 1).applied():
        assert (pools(), pa.cpu_count(), workers(), score_bytes()) == ({1}, 1, 1, GIB // 4)
        assert {os.environ[name] for name in POOLS} == {"1"}
    after = (pools(), pa.cpu_count(), workers(), score_bytes(), {name: os.getenv(name) for name in POOLS})
    assert after == before


def test_smaller_pools_keep_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with Resources.of(GIB, 1).applied(), Resources.of(GIB, 64).applied():
        assert (pools(), pa.cpu_count()) == ({1}, 1)
        assert os.environ["OMP_NUM_THREADS"] == "1"


def test_threads_of_openmp_wait_without_spinning_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with Resources.of(GIB, 1).applied():
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    with Resources.of(GIB, 1).applied():
        assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_child_processes_and_late_libraries_keep_to_the_threads() -> None:
    code = (
        "import torch, pyarrow, numpy; from threadpoolctl import threadpool_info;"
        "print(torch.get_num_threads(), pyarrow.cpu_count(), *{p['num_threads'] for p in threadpool_info()})"
    )
    with Resources.of(GIB, 1).applied():
        finished = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": IMPORTABLE},
        )
    assert finished.stdout.split() == ["1", "1", "1"]


def test_limits_apply_where_no_number_is_given() -> None:
    assert (workers(3), score_bytes(9)) == (3, 9)
    with resource_limits(2, 2**20):
        assert (workers(), workers(3), score_bytes()) == (2, 3, 2**20)
        with resource_limits(threads=1):
            assert (workers(), score_bytes()) == (1, 2**20)
        assert workers() == 2
    assert (workers(), score_bytes()) == (CORES, BLOCK_BYTES)
