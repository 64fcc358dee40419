"""A crash, error or full disk at any call of publish or ingest tears, loses and doubles nothing."""

from __future__ import annotations

import errno
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from worlds import faulty_store
from worlds.failing_calls import FAIL, FULL, KILL, READ_ONLY, environment, logged

from tasks.release.tables import TABLES

HARMLESS = {"opendir", "unlink", "rmdir", "mkdir", "open"}
"""Calls that look or tidy up: any of them may fail, and the work still succeeds."""
REASONS = {errno.ENOSPC: "no space left", errno.EDQUOT: "quota", errno.EROFS: "read-only"}


def faults(
    times: int, kills: list[float | None], errors: list[float | None], onwards: int
) -> list[list[Any]]:
    """Return faults: kills at times and calls, errors of calls, and a disk that rejects writes."""
    random_times = random.Random(times)  # noqa: S311
    chosen: list[list[Any]] = [["moment", random_times.uniform(0, 1)] for _ in range(times)]
    chosen += [[KILL, share, 0] for share in kills] + [[FAIL, share, errno.EIO] for share in errors]
    for how, number in ((FULL, errno.ENOSPC), (FULL, errno.EDQUOT), (READ_ONLY, errno.EROFS)):
        chosen += [[how, (0.5 + index) / onwards, number] for index in range(onwards)]
    return chosen


LIGHT = faults(4, [0.5, 0.95], [0.2, 0.55, 0.9], 1)
HEAVY = faults(200, [share / 40 for share in range(40)], [None], 20)


@dataclass
class Results:
    """Results of work with faults (fault, end, message, call, problem), and undisturbed calls."""

    work: str
    results: list[list[Any]]
    calls: list[list[str]]

    def of(self, how: Any) -> list[list[Any]]:
        return [result for result in self.results if result[0][0] == how]


def run_with_faults(folder: Path, work: str, faults: list[list[Any]]) -> Results:
    """Run the work once with each fault; return the results."""
    root = folder / work
    root.mkdir()
    command = [sys.executable, faulty_store.__file__, str(root), work, json.dumps(faults)]
    finished = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    results = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len(results) >= len(faults), finished.stderr
    store = f"{root / 'undisturbed' / 'store'}"
    calls = logged(root / "undisturbed.calls")
    return Results(
        work,
        results,
        [[part.removeprefix(f"{store}/").replace(store, ".") for part in call] for call in calls],
    )


@pytest.fixture(scope="module", params=["publish", "ingest"])
def light(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_with_faults(tmp_path_factory.mktemp("light"), request.param, LIGHT)


def test_a_fault_leaves_a_whole_store_and_the_next_run_ends_as_without_it(light: Results) -> None:
    require_whole(light)


@pytest.mark.torture
@pytest.mark.parametrize("work", ["publish", "ingest"])
def test_a_fault_at_every_call_and_at_200_times(work: str, tmp_path: Path) -> None:
    require_whole(run_with_faults(tmp_path, work, HEAVY))


def require_whole(results: Results) -> None:
    """Require a whole store after each fault, and a message for each error."""
    assert {KILL, FAIL, FULL, READ_ONLY, "moment"} == {result[0][0] for result in results.results}
    for fault, ended, message, call, problem in results.results:
        assert problem is None, f"{fault} {call} {ended}: {problem}"
        assert ended != "wrong", f"{fault} {call}: {message}"
    assert {ended for _, ended, *_ in results.of(KILL)} == {"killed"}
    assert {ended for _, ended, *_ in results.of("moment")} == {"killed"}
    survived = {call[0] for _, ended, _, call, _ in results.of(FAIL) if ended == "done"}
    assert survived <= HARMLESS
    messages = [
        (fault[2], text)
        for how in (FULL, READ_ONLY)
        for fault, end, text, *_ in results.of(how)
        if end == "refused"
    ]
    assert messages
    unclear = [text for number, text in messages if REASONS[number] not in text.lower()]
    assert not unclear, unclear[0]
    kinds = {how: len(results.of(how)) for how in ("moment", KILL, FAIL, FULL, READ_ONLY)}
    print(results.work, len(results.calls), "calls;", kinds, "harmless:", sorted(survived))


def index_of(calls: list[list[str]], *patterns: str) -> int:
    """Return the index of the last call with this name and these paths; * matches any ending."""
    indices = [
        index
        for index, call in enumerate(calls)
        if all(
            part == pattern or (pattern.endswith("*") and part.startswith(pattern[:-1]))
            for part, pattern in zip(call, patterns, strict=False)
        )
    ]
    assert indices, (patterns, calls)
    return indices[-1]


def test_files_and_folders_are_flushed_before_their_record_is_written(light: Results) -> None:
    """The order is files, folder, rename, its folder, and at last the pointer or the record."""
    if light.work == "publish":
        flushed_for_the_pointer(light.calls)
    else:
        for number in ("000002", "000003"):
            flushed_for_the_record(light.calls, number)


def flushed_for_the_pointer(calls: list[list[str]]) -> None:
    staging, release, pointer = "runs/2026-01-03/r3/staging", "releases/2026-01-03-r3", ".current.json.*"
    moved, flipped = index_of(calls, "rename", staging, release), index_of(calls, "write", pointer)
    names = {call[1] for call in calls[:moved] if call[0] == "write" and call[1].startswith(f"{staging}/")}
    whole = [name for name in sorted(names) if not name.rpartition("/")[2].startswith(".")]
    assert f"{staging}/nightshelf.duckdb" in whole
    flushed = index_of(calls[:moved], "fsync", staging)
    for name in whole:
        assert index_of(calls, "write", name) < index_of(calls, "fsync", name) < flushed
    manifest = f"{staging}/manifest.json"
    renamed = index_of(calls, "rename", f"{staging}/.manifest.json.*", manifest)
    for name in [manifest, *(f"{staging}/{table}.parquet" for table in TABLES)]:
        assert index_of(calls, "fsync", name) < flushed
    assert renamed < index_of(calls, "fsync", manifest)
    steps = [flushed, moved, index_of(calls[:flipped], "fsync", "releases"), flipped]
    steps += [index_of(calls, "fsync", pointer), index_of(calls, "rename", pointer, "current.json")]
    assert steps == sorted(steps)
    assert next(call[1] for call in calls[steps[-1] :] if call[0] == "fsync") == "."


def flushed_for_the_record(calls: list[list[str]], number: str) -> None:
    record = f"ingests/.{number}.json.*"
    written, named = (
        index_of(calls, "write", record),
        index_of(calls, "rename", record, f"ingests/{number}.json"),
    )
    moves = [index for index, call in enumerate(calls) if call[0] == "rename" and f"/{number}-" in call[2]]
    assert len(moves) == 4
    for move in moves:
        part = Path(calls[move][2])
        steps = [
            move,
            *(index_of(calls[:written], "fsync", str(path)) for path in (part, *list(part.parents)[:2])),
        ]
        assert steps == sorted(steps)
        assert steps[-1] < written
    assert written < index_of(calls, "fsync", record) < named
    assert next(call[1] for call in calls[named:] if call[0] == "fsync") == "ingests"
