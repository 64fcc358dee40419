"""The public face: it loads lazily, type checkers see every name, and its examples are correct."""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.paths import ROOT

import nightshelf

FACE = ROOT / "nightshelf.py"
ROOMS = {"flows", "tasks", "models", "sql"}
WITHOUT_EXAMPLE = {
    "ModelError",
    "UserError",
    "UnknownItemsWarning",
    "Dataset",
    "Histories",
    "Model",
    "ModelConfig",
}
"""Errors and the parts of a custom model; docs/library.md has a complete one."""
ROOMS_OWN = {
    f"Interactions.{name}"
    for name in ("select", "with_items", "shape", "seen", "histories", "dataset", "sequences", "frame")
} | {"TrainingOptions.report", "TrainingOptions.workers"}
"""Members of public classes that other modules use, but docs/library.md does not promise."""


def imports(tree: ast.AST) -> set[tuple[str, str, str]]:
    """Return (module, name, local name) of every name that a module imports from another."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        (str(node.module), name.name, name.asname or name.name) for node in imports for name in node.names
    }


def shown(path: Path) -> tuple[set[tuple[str, str, str]], list[str]]:
    """Return the imports from the rooms that a type checker sees, and `__all__`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (names,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {entry for entry in imports(tree) if entry[0].partition(".")[0] in ROOMS}, ast.literal_eval(names)


def test_importing_it_loads_no_room_and_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import nightshelf; print(*sorted(set(sys.modules) - before))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    loaded = {name.partition(".")[0] for name in completed.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) == {"nightshelf"}


def test_models_and_stores_load_independently_and_without_heavy_libraries(root: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for statement, absent in (
        (
            f"import nightshelf as ns; ns.open({str(root)!r}).user(10)",
            {"scipy", "torch", "prefect", "pyspark", "models.base"},
        ),
        (
            "import nightshelf as ns; ns.create('als')",
            {"torch", "prefect", "pyspark", "duckdb", "tasks", "pandas", "pytest"},
        ),
    ):
        code = f"{statement}; import sys; print(*sys.modules)"
        completed = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert not absent & set(completed.stdout.split())


def test_every_name_exists_is_listed_and_loads_once() -> None:
    assert nightshelf.__all__ == sorted(nightshelf.__all__)
    for name in [*nightshelf.__all__, "ModelContract"]:
        assert name in dir(nightshelf)
        assert getattr(nightshelf, name) is getattr(nightshelf, name) is vars(nightshelf)[name]
    with pytest.raises(AttributeError, match=r"^module 'nightshelf' has no attribute 'Interaction'$"):
        nightshelf.Interaction  # noqa: B018 - the access is the test


def test_checkers_see_every_name_at_its_origin() -> None:
    names, listed = shown(FACE)
    assert {here for _, _, here in names} | {"__version__"} == {*listed, "ModelContract"}
    for module, name, here in names:
        home = f"{module}:{name}" if name != here else module
        assert nightshelf._HOMES[here] == home
    assert len(nightshelf._HOMES) == len(names)


def test_it_imports_only_models_and_tasks_and_no_room_imports_it() -> None:
    tree = ast.parse(FACE.read_text(encoding="utf-8"))
    modules = {module.partition(".")[0] for module, _, _ in imports(tree)}
    assert modules & ROOMS == {"models", "tasks"}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            inner = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            plain = {name.name for node in inner if isinstance(node, ast.Import) for name in node.names}
            assert "nightshelf" not in plain | {
                module for module, _, _ in imports(ast.parse(path.read_text()))
            }


@pytest.fixture
def beside_a_store(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder with the examples' store."""
    monkeypatch.chdir(tmp_path)
    Path("nightshelf-store").symlink_to(root)


@pytest.mark.parametrize("name", [name for name in nightshelf.__all__ if name != "__version__"])
@pytest.mark.usefixtures("beside_a_store")
def test_the_examples_of_a_public_name_are_correct(name: str) -> None:
    value = getattr(nightshelf, name)
    tests = doctest.DocTestFinder(recurse=True).find(value, name, module=False, globs={})
    without = {test.name for test in tests if not test.examples and "._" not in test.name}
    assert name in WITHOUT_EXAMPLE or not without - ROOMS_OWN, f"no example: {without}"
    assert sum(run(test) for test in tests) == 0


@pytest.mark.parametrize("path", [FACE, ROOT / "docs" / "library.md"], ids=lambda path: path.name)
@pytest.mark.usefixtures("beside_a_store")
def test_the_examples_of_a_page_are_correct(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = str(nightshelf.__doc__) if path == FACE else re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    assert len(test.examples) > 4
    assert run(test) == 0


def run(test: doctest.DocTest) -> int:
    """Run a docstring's examples and return the number of failures; pytest shows the output."""
    return doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed


def python(code: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run code in a folder, whose modules come before those of the project."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )


def test_help_works_without_pytest(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = None; import inspect, pydoc, nightshelf as ns\n"
        "assert 'ModelContract' not in dict(inspect.getmembers(ns))\n"
        "assert 'Interactions' in pydoc.render_doc(ns)\n"
        "ns.ModelContract"
    )
    completed = python(code, tmp_path)
    assert completed.stderr.splitlines()[-1] == (
        "AttributeError: nightshelf.ModelContract needs pytest, which is not installed"
    )


@pytest.mark.parametrize("shadow", ["models.py", "models/__init__.py", "tasks/__init__.py", "sql.py"])
def test_a_package_with_the_name_of_a_room_is_reported(shadow: str, tmp_path: Path) -> None:
    path = tmp_path / shadow
    path.parent.mkdir(exist_ok=True)
    path.write_text("", encoding="utf-8")
    room = shadow.partition("/")[0].removesuffix(".py")
    name = "create" if room == "models" else "open"
    flags = ["-S"] if "/" in shadow else []  # an editable installation looks into its rooms all the same
    completed = python(f"import nightshelf as ns; ns.{name}", tmp_path, *flags)
    message = completed.stderr.splitlines()[-1]
    assert message.startswith(f"ImportError: expected the package '{room}' of nightshelf in {ROOT}, got ")
    assert str(tmp_path) in message
