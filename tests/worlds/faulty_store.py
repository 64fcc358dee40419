"""A program that publishes or ingests repeatedly, each time with a fault: see test_faults.py.

Arguments: an empty folder, the work (publish or ingest), and the faults as JSON. A fault is
`[how, share, errno]`, at that share of the calls of undisturbed work, with how as in
failing_calls.py; `[how, null, errno]`, once for each call; or `["moment", share]`, a SIGKILL after
that share of the undisturbed seconds. For each it prints a line of JSON: the fault, how the work
ended, its message, the call, and the problem of the store then or after the work was repeated
(null if there is none). The undisturbed calls are in the file `undisturbed.calls`.

Every try has a fork and a copy of the store. Forks have the imports but no threads yet.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import open_engine, sweep_scratch
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.monitoring.verification import verify_store
from tasks.release.publish import finish, publish
from tasks.release.releases import current, releases
from tasks.release.retention import clean, retain
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.store.layout import Store
from worlds import failing_calls
from worlds.release_world import World

SECONDS = 60  # after which a try that hangs is stopped
SYSTEM = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # errors that flows turn into a message


class Publishing:
    """Publication of the third release, and removal of the first."""

    scratch = ""

    def prepare(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        world = World(folder)
        for number in (1, 2):
            world.publish(f"2026-01-0{number}", f"r{number}")
        world.write(world.staging("2026-01-03", "r3"))

    def work(self, folder: Path) -> None:
        world = World(folder)
        staging = world.stage("2026-01-03", "r3")
        audited = world.audit(staging)
        with world.store.lock("publishing"):
            publish(world.store, staging, audited)
            retain(world.store, 1)
            clean(world.store)

    def check(self, folder: Path) -> None:
        """Require that readers have yesterday's or today's release, whole."""
        store = Store(folder / "store")
        assert current(store).release_id in {"2026-01-02-r2", "2026-01-03-r3"}
        assert {release.problem for release in releases(store)} == {None}

    def resume(self, folder: Path) -> None:
        """Do what a resumed run does."""
        world = World(folder)
        if world.store.release("2026-01-03-r3").is_dir():
            with world.store.lock("publishing"):
                finish(world.store, "2026-01-03-r3")
                retain(world.store, 1)
        else:
            self.work(folder)
        with world.store.lock("publishing"):
            clean(world.store, older_than=timedelta(0))
        assert current(world.store).release_id == "2026-01-03-r3"

    def outcome(self, folder: Path) -> Any:
        """Return what must be equal in all stores, whatever happened before."""
        store, tables = Store(folder / "store"), {}
        for release in releases(store):
            files = release.manifest()["files"]
            tables[release.release_id] = {n: f["sha256"] for n, f in files.items() if n.endswith(".parquet")}
        return tables


class Ingesting:
    """Two ingests of four logs that repeat rows of each other and of an earlier ingest."""

    scratch = "runs"  # files of the engine and the ingest, which the next ingest removes

    def prepare(self, folder: Path) -> None:
        logs = folder / "logs"
        logs.mkdir(parents=True)
        for number in range(5):
            rows = [f"u{n},i{number},2026-03-0{1 + n % 3}T10:00:00" for n in range(6)]
            rows += [rows[0], f",i{number},2026-03-01T10:00:00", "u1,i0,2026-03-02T10:00:00"]
            name = f"{number}.csv" if number == 0 else f"{number}.later"
            (logs / name).write_text("user,item,time\n" + "\n".join(rows) + "\n")
        Store(folder / "store").create()
        self.work(folder)
        for later in logs.glob("*.later"):
            later.rename(later.with_suffix(".csv"))

    def configuration(self, folder: Path) -> Configuration:
        columns = {"user": "user", "item": "item", "timestamp": "time"}
        source = {"path": str(folder / "logs" / "*.csv"), "columns": columns}
        engine = {"memory": "256MiB", "threads": 1, "batch": "0.0006MiB"}  # two logs at a time
        return Configuration.model_validate(
            {"source": source, "engine": engine, "store": {"path": folder / "store"}}
        )

    def work(self, folder: Path) -> None:
        configuration, store = self.configuration(folder), Store(folder / "store")
        with store.lock("ingest"):
            sweep_scratch(store.runs)
            with open_engine(configuration, store.runs) as engine:
                ingest(configuration, store, engine, date(2026, 3, 9))
            clean(store)

    def check(self, folder: Path) -> None:
        """Require that committed rows count exactly once."""
        rows = self.rows(folder)
        assert len(set(rows)) == len(rows) >= 6
        assert len(rows) == Ledger.read(Store(folder / "store")).counts().accepted

    def resume(self, folder: Path) -> None:
        self.work(folder)
        store = Store(folder / "store")
        named = {path for manifest in Ledger.read(store).manifests for path in manifest.parquet_paths()}
        there = {str(path.relative_to(store.root)) for path in store.root.rglob("*.parquet")}
        assert there == named, there ^ named

    def rows(self, folder: Path) -> list[Any]:
        """Return the live interactions, without columns that distinguish equal rows."""
        parts = [str(path) for path in Ledger.read(Store(folder / "store")).parts()]
        query = f"FROM read_parquet({parts}, hive_partitioning = false) ORDER BY ALL"
        return duckdb.sql(f"SELECT user_id, item_id, timestamp, file_id, line {query}").fetchall()

    def outcome(self, folder: Path) -> Any:
        counts = Ledger.read(Store(folder / "store")).counts().model_dump()
        return [*map(str, self.rows(folder)), counts]


WORKS: dict[str, Publishing | Ingesting] = {"publish": Publishing(), "ingest": Ingesting()}


def forked(work: Callable[[], Any], killed_after: float | None = None) -> tuple[str, Any]:
    """Run work in a fork; return how it ended, and its result or message.

    It ends done, refused (with a message), wrong (with any other error), or killed.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        signal.alarm(SECONDS)
        ended: tuple[str, Any] = ("wrong", "")
        try:
            ended = ("done", work())
        except EXPECTED_ERRORS as error:
            ended = ("refused", str(error))
        except OSError as error:
            ended = ("refused" if error.errno in SYSTEM else "wrong", traceback.format_exc())
        except BaseException:
            ended = ("wrong", traceback.format_exc())
        os.write(writes, json.dumps(ended).encode()[-60_000:])
        os._exit(0)
    os.close(writes)
    if killed_after is not None:
        time.sleep(killed_after)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    with os.fdopen(reads, "rb") as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == -signal.SIGKILL:
        return "killed", None
    return tuple(json.loads(answer)) if answer else ("wrong", f"ended with {code}")


def wrong(work: Publishing | Ingesting, folder: Path, expected: Any) -> str | None:
    """Return the problem of a store after a fault, or after the work was repeated; else None."""

    def look() -> None:
        work.check(folder)
        assert verify_store(Store(folder / "store")).damaged == []
        work.resume(folder)
        assert verify_store(Store(folder / "store")).damaged == []
        assert json.loads(json.dumps(work.outcome(folder))) == expected

        leftovers = [path for path in (folder / "store").rglob(".*") if path.name != ".lock"]
        assert not [path for path in leftovers if path.name not in {".locks"}], leftovers

    ended, text = forked(look)
    return None if ended == "done" else f"{ended}: {text}"


def prepared(work: Publishing | Ingesting, base: Path) -> list[str]:
    """Prepare the store, run the work in a copy, and return the modules that it imports late."""
    before = {*sys.modules}
    work.prepare(base)
    shutil.copytree(base, base.with_name("first"))
    work.work(base.with_name("first"))
    return sorted({*sys.modules} - before)


def disturbed(work: Publishing | Ingesting, folder: Path, fault: list[Any], log: Path) -> int:
    """Run the work with a fault; return the number of calls."""
    if fault[0] != "moment":
        store = folder / "store"
        failing_calls.arm(
            store,
            store / work.scratch if work.scratch else "",
            log,
            how=fault[0],
            at=fault[1],
            error=fault[2],
        )
    work.work(folder)
    return failing_calls.disarm() if fault[0] != "moment" else 0


def expanded(faults: list[list[Any]], calls: int) -> Iterator[list[Any]]:
    """Yield faults with the number of a call instead of its share."""
    for how, *at in faults:
        if how == "moment":
            yield [how, *at]
            continue
        numbers = range(1, calls + 1) if at[0] is None else [max(1, round(at[0] * calls))]
        yield from ([how, number, at[1]] for number in numbers)


def main(root: Path, name: str, faults: list[list[Any]]) -> None:
    work, base = WORKS[name], root / "base"
    ended, modules = forked(lambda: prepared(work, base))
    assert ended == "done", modules
    for module in modules:
        with suppress(ImportError):  # such as modules that exist only inside others
            importlib.import_module(module)
    whole, undisturbed = root / "undisturbed", root / "undisturbed.calls"
    shutil.copytree(base, whole)
    started = time.monotonic()
    ended, calls = forked(lambda: disturbed(work, whole, [failing_calls.COUNT, 0, 0], undisturbed))
    seconds = time.monotonic() - started
    assert ended == "done", calls
    _, expected = forked(lambda: work.outcome(whole))
    for fault in expanded(faults, calls):
        folder, log = root / "try", root / "calls"
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base, folder)
            log.unlink(missing_ok=True)
            after = fault[1] * seconds if fault[0] == "moment" else None
            ended, message = forked(partial(disturbed, work, folder, fault, log), after)
            if after is None or ended != "done":
                break
            fault[1] *= 0.8  # the work had ended by then
        seen = failing_calls.logged(log)
        call = seen[fault[1] - 1] if after is None and fault[1] <= len(seen) else None
        print(json.dumps([fault, ended, message, call, wrong(work, folder, expected)]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
