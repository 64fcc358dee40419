"""A program that publishes, or takes logs in, again and again, each time with a fault: see test_faults.py.

Arguments: an empty folder, the work (publish or ingest), and the faults (JSON): `[how, share, errno]`, at
that share of the calls of undisturbed work, how as in failing_calls.py; `[how, null, errno]`, once for each
call; or `["moment", share]` for a SIGKILL after that share of the undisturbed seconds. It prints a JSON line
for each: the fault, how the work ended, what it said, the call, and what is wrong with the store then, or
once the work was done again (null if nothing is). The undisturbed calls are in the file `undisturbed.calls`.

Every try has a process and a copy of the store of its own. Forks have the imports and no threads yet.
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
from tasks.runtime.errors import EXPECTED
from tasks.store.layout import Store
from worlds import failing_calls
from worlds.release_world import World

SECONDS = 60  # after which a try that hangs is given up
SYSTEM = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # what flows turn into a message


class Publishing:
    """The third release is published, and the first removed."""

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
        """Require that readers have yesterday's release or today's, whole."""
        store = Store(folder / "store")
        assert current(store).release_id in {"2026-01-02-r2", "2026-01-03-r3"}
        assert {one.problem for one in releases(store)} == {None}

    def again(self, folder: Path) -> None:
        """Do what a run that goes on does."""
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
        """Return what a store must be equal in, however it got there."""
        store, tables = Store(folder / "store"), {}
        for one in releases(store):
            files = one.manifest()["files"]
            tables[one.release_id] = {n: f["sha256"] for n, f in files.items() if n.endswith(".parquet")}
        return tables


class Taking:
    """Four logs are taken in by two ingests, after one that was before; they repeat each other's rows."""

    scratch = "runs"  # the engine's files and what is judged; an ingest begins by removing them

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
        engine = {"memory": "256MiB", "threads": 1, "batch": "0.0006MiB"}  # two of the logs at a time
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
        """Require that what was committed counts, once."""
        rows = self.rows(folder)
        assert len(set(rows)) == len(rows) >= 6
        assert len(rows) == Ledger.read(Store(folder / "store")).counts().accepted

    def again(self, folder: Path) -> None:
        self.work(folder)
        store = Store(folder / "store")
        named = {path for one in Ledger.read(store).manifests for path in one.written()}
        there = {str(path.relative_to(store.root)) for path in store.root.rglob("*.parquet")}
        assert there == named, there ^ named

    def rows(self, folder: Path) -> list[Any]:
        """Return the interactions that count, without what tells them from equal ones."""
        parts = [str(path) for path in Ledger.read(Store(folder / "store")).parts()]
        query = f"FROM read_parquet({parts}, hive_partitioning = false) ORDER BY ALL"
        return duckdb.sql(f"SELECT user_id, item_id, timestamp, file_id, line {query}").fetchall()

    def outcome(self, folder: Path) -> Any:
        counts = Ledger.read(Store(folder / "store")).counts().model_dump()
        return [*map(str, self.rows(folder)), counts]


WORKS: dict[str, Publishing | Taking] = {"publish": Publishing(), "ingest": Taking()}


def forked(work: Callable[[], Any], killed_after: float | None = None) -> tuple[str, Any]:
    """Do something in a process of its own; return how it ended and what it gave or said.

    It ends done, refused (with a message), wrong (with anything else), or killed.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        signal.alarm(SECONDS)
        ended: tuple[str, Any] = ("wrong", "")
        try:
            ended = ("done", work())
        except EXPECTED as error:
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
    with os.fdopen(reads, "rb") as told:
        answer = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == -signal.SIGKILL:
        return "killed", None
    return tuple(json.loads(answer)) if answer else ("wrong", f"ended with {code}")


def wrong(work: Publishing | Taking, folder: Path, wanted: Any) -> str | None:
    """Return what is wrong with a store after a fault, or once the work was done again; None if nothing."""

    def look() -> None:
        work.check(folder)
        assert verify_store(Store(folder / "store")).damaged == []
        work.again(folder)
        assert verify_store(Store(folder / "store")).damaged == []
        assert json.loads(json.dumps(work.outcome(folder))) == wanted

        left = [path for path in (folder / "store").rglob(".*") if path.name != ".lock"]
        assert not [path for path in left if path.name not in {".locks"}], left

    ended, text = forked(look)
    return None if ended == "done" else f"{ended}: {text}"


def prepared(work: Publishing | Taking, base: Path) -> list[str]:
    """Make the store before; do the work, too, in a copy, and return the modules that it imports late."""
    before = {*sys.modules}
    work.prepare(base)
    shutil.copytree(base, base.with_name("first"))
    work.work(base.with_name("first"))
    return sorted({*sys.modules} - before)


def disturbed(work: Publishing | Taking, folder: Path, fault: list[Any], log: Path) -> int:
    """Do the work with a fault; return the number of calls."""
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
    """Yield faults with the number of a call in place of its share."""
    for how, *at in faults:
        if how == "moment":
            yield [how, *at]
            continue
        places = range(1, calls + 1) if at[0] is None else [max(1, round(at[0] * calls))]
        yield from ([how, place, at[1]] for place in places)


def main(root: Path, name: str, faults: list[list[Any]]) -> None:
    work, base = WORKS[name], root / "base"
    ended, modules = forked(lambda: prepared(work, base))
    assert ended == "done", modules
    for module in modules:
        with suppress(ImportError):  # such as those that only live in other modules
            importlib.import_module(module)
    whole, undisturbed = root / "undisturbed", root / "undisturbed.calls"
    shutil.copytree(base, whole)
    started = time.monotonic()
    ended, calls = forked(lambda: disturbed(work, whole, [failing_calls.COUNT, 0, 0], undisturbed))
    seconds = time.monotonic() - started
    assert ended == "done", calls
    _, wanted = forked(lambda: work.outcome(whole))
    for fault in expanded(faults, calls):
        folder, log = root / "try", root / "calls"
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base, folder)
            log.unlink(missing_ok=True)
            after = fault[1] * seconds if fault[0] == "moment" else None
            ended, said = forked(partial(disturbed, work, folder, fault, log), after)
            if after is None or ended != "done":
                break
            fault[1] *= 0.8  # the work was over by then
        seen = failing_calls.logged(log)
        call = seen[fault[1] - 1] if after is None and fault[1] <= len(seen) else None
        print(json.dumps([fault, ended, said, call, wrong(work, folder, wanted)]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
