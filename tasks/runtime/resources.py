"""The memory and threads that a run may use, from the configuration to every library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from models.options import resource_limits, workers

SQL_SHARE: Final = 0.6
"""Share of the memory for an SQL engine; the rest is for Python, Arrow and the allocator."""
BLOCK_SHARE: Final = 0.25
"""Share of the memory for blocks of scores; no SQL engine runs at that time."""
POOLS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that size the thread pools of child processes and of libraries loaded later."""
WAITING: Final = "OMP_WAIT_POLICY"
"""How OpenMP's threads wait for each other. By default they spin, which on a machine with other work
takes the processor from the thread that they wait for: small trainings took fifty times as long."""


@dataclass(frozen=True)
class Resources:
    """Memory in bytes and threads, at least 1 of each, that a run may use; build it with `of`.

    `block_bytes` is the part of the memory for scores held at the same time.
    """

    memory: int
    threads: int
    block_bytes: int

    @classmethod
    def of(cls, memory: int, threads: int, block_bytes: int | None = None) -> Resources:
        """Return a budget of bytes and threads; 0 threads means every core this process may use.

        `block_bytes` is limited to its share of the memory.
        """
        if memory < 1 or threads < 0:
            raise ValueError(f"expected memory of at least 1 byte and threads >= 0, got {memory}, {threads}")
        share = max(1, int(memory * BLOCK_SHARE))
        return cls(memory, workers(threads), share if block_bytes is None else min(block_bytes, share))

    @property
    def sql_memory(self) -> int:
        """Memory of an SQL engine, in bytes; it spills the rest to disk."""
        return int(self.memory * SQL_SHARE)

    @property
    def duckdb_settings(self) -> dict[str, str]:
        """DuckDB settings that enforce these limits."""
        return {"memory_limit": f"{max(1, self.sql_memory // 2**20)}MiB", "threads": str(self.threads)}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Limit this process's libraries and its child processes to these threads.

        Arrow, BLAS and OpenMP each have a thread pool. Smaller pools keep their size. Afterwards
        all pools have their former size again.
        """
        import pyarrow as pa
        from threadpoolctl import ThreadpoolController

        arrow, pools = pa.cpu_count(), ThreadpoolController()
        smaller = {pool.prefix: min(pool.num_threads, self.threads) for pool in pools.lib_controllers}
        with ExitStack() as stack:
            stack.enter_context(self._environment())
            stack.enter_context(resource_limits(self.threads, self.block_bytes))
            stack.enter_context(pools.limit(limits=smaller))
            stack.callback(pa.set_cpu_count, arrow)
            pa.set_cpu_count(min(arrow, self.threads))
            yield

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Set the variables that size thread pools, unless they are set to less, and the waiting."""
        before = {name: os.environ.get(name) for name in (*POOLS, WAITING)}
        os.environ.setdefault(WAITING, "PASSIVE")
        for name in POOLS:
            value = before[name]
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
    """Return the resources of a command without a configuration: every core, half of the memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Resources.of(pages // 2, 0)
