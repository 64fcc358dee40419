"""What a run may use of the machine: memory and threads, from the configuration to whatever works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from models.options import limited, workers

SQL_SHARE: Final = 0.6
"""Of the memory, for an SQL engine; the rest is for Python, Arrow and the allocator."""
BLOCK_SHARE: Final = 0.25
"""Of the memory, for blocks of scores, where no SQL engine is at work."""
POOLS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables by which libraries that are loaded later, and child processes, size their pools of threads."""


@dataclass(frozen=True)
class Resources:
    """Memory in bytes and threads, at least 1, that a run may use; `of` makes them.

    `block_bytes` of the memory are for scores that are held at a time.
    """

    memory: int
    threads: int
    block_bytes: int

    @classmethod
    def of(cls, memory: int, threads: int, block_bytes: int | None = None) -> Resources:
        """Return a budget in bytes and threads; 0 threads ask for every core that this process may use.

        `block_bytes` is lowered to its share of the memory.
        """
        if memory < 1 or threads < 0:
            raise ValueError(f"expected memory of at least 1 byte and threads >= 0, got {memory}, {threads}")
        share = max(1, int(memory * BLOCK_SHARE))
        return cls(memory, workers(threads), share if block_bytes is None else min(block_bytes, share))

    @property
    def sql_memory(self) -> int:
        """What an SQL engine may hold, in bytes; it spills the rest to its disk."""
        return int(self.memory * SQL_SHARE)

    @property
    def duckdb_settings(self) -> dict[str, str]:
        """The settings of a DuckDB that keeps to these."""
        return {"memory_limit": f"{max(1, self.sql_memory // 2**20)}MiB", "threads": str(self.threads)}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Hold the libraries of this process, and its child processes, to these threads.

        Arrow, BLAS and OpenMP have pools of threads of their own, and none of them asks. A pool that is
        smaller already stays so; all are given back as they were.
        """
        import pyarrow as pa
        from threadpoolctl import ThreadpoolController

        arrow, pools = pa.cpu_count(), ThreadpoolController()
        smaller = {pool.prefix: min(pool.num_threads, self.threads) for pool in pools.lib_controllers}
        with ExitStack() as stack:
            stack.enter_context(self._environment())
            stack.enter_context(limited(self.threads, self.block_bytes))
            stack.enter_context(pools.limit(limits=smaller))
            stack.callback(pa.set_cpu_count, arrow)
            pa.set_cpu_count(min(arrow, self.threads))
            yield

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Set the variables that size pools of threads, where they are not set to less."""
        before = {name: os.environ.get(name) for name in POOLS}
        for name, value in before.items():
            least = int(value) if value and value.isdigit() and int(value) else self.threads
            os.environ[name] = str(min(least, self.threads))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def machine_resources() -> Resources:
    """Return what a command that has no configuration uses: every core, and half of the memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Resources.of(pages // 2, 0)
