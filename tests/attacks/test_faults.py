"""A crash, an error or a full disk at any call of publish and of ingest: nothing torn, lost or doubled."""

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
"""Calls of looking and tidying up among them: one may fail, and the work is done all the same."""
REASONS = {errno.ENOSPC: "no space left", errno.EDQUOT: "quota", errno.EROFS: "read-only"}


def faults(
    moments: int, kills: list[float | None], errors: list[float | None], onwards: int
) -> list[list[Any]]:
    """Return faults: kills at moments and calls, errors of calls, and a disk that takes nothing any more."""
    chosen = random.Random(moments)  # noqa: S311
    found: list[list[Any]] = [["moment", chosen.uniform(0, 1)] for _ in range(moments)]
    found += [[KILL, share, 0] for share in kills] + [[FAIL, share, errno.EIO] for share in errors]
    for how, number in ((FULL, errno.ENOSPC), (FULL, errno.EDQUOT), (READ_ONLY, errno.EROFS)):
        found += [[how, (0.5 + place) / onwards, number] for place in range(onwards)]
    return found


LIGHT = faults(4, [0.5, 0.95], [0.2, 0.55, 0.9], 1)
HEAVY = faults(200, [place / 40 for place in range(40)], [None], 20)


@dataclass
class Tried:
    """What came of work with faults: fault, end, what it said, the call and what is wrong; calls without."""

    work: str
    found: list[list[Any]]
    calls: list[list[str]]

    def of(self, how: Any) -> list[list[Any]]:
        return [one for one in self.found if one[0][0] == how]


def tried(folder: Path, work: str, faults: list[list[Any]]) -> Tried:
    """Have the work done once with each fault; nothing may be wrong afterwards."""
    root = folder / work
    root.mkdir()
    command = [sys.executable, faulty_store.__file__, str(root), work, json.dumps(faults)]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= len(faults), done.stderr
    store = f"{root / 'undisturbed' / 'store'}"
    calls = logged(root / "undisturbed.calls")
    return Tried(
        work, found, [[part.removeprefix(f"{store}/").replace(store, ".") for part in call] for call in calls]
    )


@pytest.fixture(scope="module", params=["publish", "ingest"])
def light(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    return tried(tmp_path_factory.mktemp("light"), request.param, LIGHT)


def test_a_fault_anywhere_leaves_a_whole_store_and_the_next_run_ends_as_if_there_had_been_none(
    light: Tried,
) -> None:
    require_whole(light)


@pytest.mark.torture
@pytest.mark.parametrize("work", ["publish", "ingest"])
def test_a_fault_at_every_call_and_at_200_moments(work: str, tmp_path: Path) -> None:
    require_whole(tried(tmp_path, work, HEAVY))


def require_whole(tried: Tried) -> None:
    """Require that nothing is wrong after any fault, and that errors are told and none is overlooked."""
    assert {KILL, FAIL, FULL, READ_ONLY, "moment"} == {one[0][0] for one in tried.found}
    for fault, ended, said, call, problem in tried.found:
        assert problem is None, f"{fault} {call} {ended}: {problem}"
        assert ended != "wrong", f"{fault} {call}: {said}"
    assert {ended for _, ended, *_ in tried.of(KILL)} == {"killed"}
    assert {ended for _, ended, *_ in tried.of("moment")} == {"killed"}
    done = {call[0] for _, ended, _, call, _ in tried.of(FAIL) if ended == "done"}
    assert done <= HARMLESS
    said = [
        (fault[2], text)
        for how in (FULL, READ_ONLY)
        for fault, end, text, *_ in tried.of(how)
        if end == "refused"
    ]
    assert said
    unclear = [text for number, text in said if REASONS[number] not in text.lower()]
    assert not unclear, unclear[0]
    kinds = {how: len(tried.of(how)) for how in ("moment", KILL, FAIL, FULL, READ_ONLY)}
    print(tried.work, len(tried.calls), "calls;", kinds, "harmless:", sorted(done))


def placed(calls: list[list[str]], *wanted: str) -> int:
    """Return the place of the last such call: its name and its paths, * for any ending."""
    places = [
        place
        for place, call in enumerate(calls)
        if all(
            part == want or (want.endswith("*") and part.startswith(want[:-1]))
            for part, want in zip(call, wanted, strict=False)
        )
    ]
    assert places, (wanted, calls)
    return places[-1]


def test_files_and_folders_are_flushed_before_what_names_them_is_written(light: Tried) -> None:
    """Files, their folder, the rename, the folder of that; and all of it before the pointer or the record."""
    if light.work == "publish":
        flushed_for_the_pointer(light.calls)
    else:
        for number in ("000002", "000003"):
            flushed_for_the_record(light.calls, number)


def flushed_for_the_pointer(done: list[list[str]]) -> None:
    staging, release, pointer = "runs/2026-01-03/r3/staging", "releases/2026-01-03-r3", ".current.json.*"
    moved, flipped = placed(done, "rename", staging, release), placed(done, "write", pointer)
    names = {call[1] for call in done[:moved] if call[0] == "write" and call[1].startswith(f"{staging}/")}
    whole = [name for name in sorted(names) if not name.rpartition("/")[2].startswith(".")]
    assert f"{staging}/nightshelf.duckdb" in whole
    flushed = placed(done[:moved], "fsync", staging)
    for name in whole:
        assert placed(done, "write", name) < placed(done, "fsync", name) < flushed
    manifest = f"{staging}/manifest.json"
    renamed = placed(done, "rename", f"{staging}/.manifest.json.*", manifest)
    for name in [manifest, *(f"{staging}/{table}.parquet" for table in TABLES)]:
        assert placed(done, "fsync", name) < flushed
    assert renamed < placed(done, "fsync", manifest)
    steps = [flushed, moved, placed(done[:flipped], "fsync", "releases"), flipped]
    steps += [placed(done, "fsync", pointer), placed(done, "rename", pointer, "current.json")]
    assert steps == sorted(steps)
    assert next(call[1] for call in done[steps[-1] :] if call[0] == "fsync") == "."


def flushed_for_the_record(done: list[list[str]], number: str) -> None:
    record = f"ingests/.{number}.json.*"
    written, named = placed(done, "write", record), placed(done, "rename", record, f"ingests/{number}.json")
    moves = [place for place, call in enumerate(done) if call[0] == "rename" and f"/{number}-" in call[2]]
    assert len(moves) == 4
    for move in moves:
        part = Path(done[move][2])
        steps = [
            move,
            *(placed(done[:written], "fsync", str(one)) for one in (part, *list(part.parents)[:2])),
        ]
        assert steps == sorted(steps)
        assert steps[-1] < written
    assert written < placed(done, "fsync", record) < named
    assert next(call[1] for call in done[named:] if call[0] == "fsync") == "ingests"
