"""The supervisor: what it starts again, when it waits, and when it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.stack.processes import Part, Stack, end, exclusive, log_path, read_stack, start_part, write_stack
from flows.stack.supervise import Supervisor

TOKEN = "t"  # noqa: S105 - a mark of processes
LASTING = ["http.server", "0", "--bind", "127.0.0.1"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Start a stack whose parts are small."""
    stack = Stack(token=TOKEN, config=tmp_path / "nightshelf.toml", port=1)
    for name, arguments in {"server": LASTING, "worker": ["this"]}.items():
        stack.parts.append(start_part(tmp_path, name, arguments, os.environ))
    write_stack(tmp_path, stack)
    yield stack
    end(read_stack(tmp_path) or stack)


def ended(part: Part) -> None:
    process = part.process()
    if process is not None:
        process.kill()
        process.wait()


def now(folder: Path) -> list[Part]:
    stack = read_stack(folder)
    assert stack is not None
    return stack.parts


def test_what_ends_is_started_again_and_what_fails_again_waits_longer(stack: Stack, tmp_path: Path) -> None:
    supervisor, log = Supervisor(tmp_path, TOKEN), log_path(tmp_path, "worker")
    for part in stack.parts:
        ended(part)
    log.write_text("why it ended\n", encoding="utf-8")
    assert supervisor.look()
    first = now(tmp_path)
    assert [part.pid for part in first] != [part.pid for part in stack.parts]
    assert first[0].process() is not None
    ended(first[1])
    assert supervisor.look()
    assert now(tmp_path) == first  # not yet
    waits = []
    for _ in range(8):
        ended(now(tmp_path)[1])
        supervisor.due["worker"] = 0.0
        assert supervisor.look()
        waits.append(supervisor.due["worker"])
    assert now(tmp_path)[0] == first[0]
    assert waits[-1] - waits[0] > 250
    assert log.read_text(encoding="utf-8").startswith("why it ended")


def test_it_waits_for_up_and_down_and_ends_with_its_stack(stack: Stack, tmp_path: Path) -> None:
    ended(stack.parts[0])
    with exclusive(tmp_path):
        assert Supervisor(tmp_path, TOKEN).look()
    assert now(tmp_path)[0] == stack.parts[0]
    assert not Supervisor(tmp_path, "of another stack").look()
    (tmp_path / "stack.json").unlink()
    assert not Supervisor(tmp_path, TOKEN).look()
