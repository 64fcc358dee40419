"""The rules that keep rooms apart, start-up quick and files small, checked on the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("flows", "tasks", "models", "sql")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ELSEWHERE = {*TESTS, *(ROOT / "benchmarks").rglob("*.py"), *ROOT.glob("*.py")}
SHORT = [*FILES, *sorted(ELSEWHERE)]
UNMIRRORED = {
    "attacks/": "hostile input, wherever it comes in",
    "nights/": "whole nights, through every room",
    "deployments/": "images, pools and deployments, which are no Python",
    "flows/stack/test_forms_and_messages.py": "a stack as people meet it: forms, schedule, messages",
    "flows/stack/test_remote_training.py": "a night on one pool that trains on another",
    "models/test_model_contract.py": "each built-in model under the contract suite",
    "models/autoencoders/test_mult_vae_age.py": "Mult-VAE and the ages of events",
    "models/evaluation/test_metrics_agree.py": "our metrics against those of another library",
    "tasks/training/test_one_child.py": "one child for many trainings",
    "sql/engines/test_dialects.py": "each expression of a dialect, on both engines",
    "test_architecture.py": "the code itself",
    "test_contributing.py": "the checklists of CONTRIBUTING.md",
    "test_drawing.py": "the drawing of the architecture",
    "test_models_page.py": "the page about the models",
    "test_nightshelf_real_data.py": "the public face on real data",
    "test_set_up.py": "the Makefile's choice of a Python",
    "test_supply_chain.py": "locks, licences and what is installed",
    "test_wheel.py": "the wheel and the sdist",
}
"""Tests, or folders of tests, that mirror no file of the code, each with its subject."""
LONGEST, LONGEST_FUNCTION = 300, 50  # lines
MOST_MODULES = 15  # in a package
BUDGET = re.compile(r"\d+(?:\.\d+)?\s*[KMGT]i?B")
TAKE_THREADS = {
    "Bootstrap", "TrainingOptions", "by_item", "match_lists", "measure_lists", "top_n", "top_n_factors"
}  # fmt: skip
"""Of models/: calls that start threads, by default as many as allowed."""
COUNT_CORES = {"cpu_count", "sched_getaffinity"}
VAGUE = {"util", "utils", "common", "helper", "helpers", "manager", "misc"}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}
HEAVY = {
    "torch",
    "great_expectations",
    "pyspark",
    "prefect",
    "implicit",
    "numba",
    "faiss",
    "pandas",
    "typer",
    "optuna",
    "matplotlib",
}
PREFECTS_OWN = ("flows.run_", "flows.flip_release", "flows.train_models", "flows.orchestration.")
PREFECTS_OWN += tuple(f"flows.stack.{name}" for name in ("automations", "prepare", "deploy", "settle"))
"""The flows and the modules only they use, which may import Prefect."""
WITHOUT_PREFECT = ("flows.orchestration.settings", "flows.orchestration.parameters")
"""Those of them that do not load Prefect."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return everything in a file of the code, from the outside in; several tests read each file."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports anywhere."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def modules(*folders: str) -> list[str]:
    """Return the dotted names of the modules in some rooms, without packages."""
    paths = [path for path in FILES if path.relative_to(ROOT).parts[0] in folders and path.stem != "__init__"]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def loaded_by(names: list[str]) -> set[str]:
    """Return the heavy packages loaded in a new Python after importing these modules."""
    code = (
        "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True, env=environment
    )
    return HEAVY & set(completed.stdout.split())


def test_the_rooms_keep_their_import_contracts() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", completed.stdout)


def test_the_contracts_cover_every_room() -> None:
    assert all((ROOT / room / "__init__.py").is_file() for room in ROOMS)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= {*ROOMS, "benchmarks", "deployments"}


def test_flow_files_are_named_verb_object_and_hide_no_package() -> None:
    stems = [path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__"]
    folders = [path.parent.name for path in (ROOT / "flows").glob("*/__init__.py")]
    top_level = {*sys.stdlib_module_names, *(path.stem for path in ROOT.iterdir()), *HEAVY}
    for stem in stems:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", stem), f"flows/{stem}.py: expected verb_object"
    assert not top_level & {*stems, *folders}  # Prefect puts flows/ itself on the path


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_has_a_catch_all_name(path: Path) -> None:
    assert not VAGUE & set(path.stem.split("_"))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_pickled(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not PICKLES & set(imported(path))
    assert "allow_pickle=True" not in text
    assert "torch.load(" not in text or "weights_only=True" in text


@pytest.mark.parametrize("path", SHORT, ids=name)
def test_no_file_is_long(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{name(path)} has {lines} lines: something in it wants a name of its own"


@pytest.mark.parametrize("path", SHORT, ids=name)
def test_no_function_is_long(path: Path) -> None:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path in ELSEWHERE else nodes(path)
    for node in tree:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{name(path)}:{node.lineno} {node.name} has {lines} lines"


def test_a_test_file_mirrors_a_file_of_the_code_or_says_why_not() -> None:
    paths = [path.relative_to(ROOT / "tests") for path in TESTS if path.name.startswith("test_")]
    alone = {
        path.as_posix()
        for path in paths
        if not (ROOT / path.with_name(path.name.removeprefix("test_"))).is_file()
    }
    excused = {name for name in alone if name.startswith(tuple(UNMIRRORED))}
    assert alone == excused, f"mirror no file: {sorted(alone - excused)}"
    unneeded = [start for start in UNMIRRORED if not any(name.startswith(start) for name in excused)]
    assert not unneeded, f"not needed any more: {unneeded}"


def literals(path: Path) -> Iterator[tuple[int, frozenset[str], bool]]:
    """Yield each listing of three or more strings: line, strings, and whether it is a type."""
    types = {
        node.slice
        for node in nodes(path)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"
    }
    for node in nodes(path):
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) >= 3:
            values = [element.value for element in node.elts if isinstance(element, ast.Constant)]
            if len(values) == len(node.elts) and all(isinstance(value, str) for value in values):
                yield node.lineno, frozenset(values), node in types


def test_the_names_of_a_type_are_listed_once() -> None:
    """If a type lists three names or more, other code uses the type or its `get_args`."""
    lists = [(f"{name(path)}:{line}", *rest) for path in FILES for line, *rest in literals(path)]
    types = {names for _, names, is_type in lists if is_type}
    places = {names: [place for place, listed, _ in lists if listed == names] for names in types}
    assert {", ".join(sorted(names)): lines for names, lines in places.items() if len(lines) > 1} == {}


def test_no_module_imports_private_names_of_another() -> None:
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ROOMS:
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{name(path)}:{node.lineno} imports {', '.join(private)}"


def test_an_option_of_several_commands_is_written_once() -> None:
    helps: list[str] = []
    for path in (ROOT / "flows" / "commands").glob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"typer.Option", "typer.Argument"}:
                helps += [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "help"]
    assert sorted(text for text in set(helps) if helps.count(text) > 1) == []


def test_no_package_is_crowded() -> None:
    for folder in {path.parent for path in FILES}:
        files = [path for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(files) <= MOST_MODULES, f"{name(folder)} has {len(files)} modules"


def test_packages_hold_only_their_docstring() -> None:
    for path in FILES:
        if path.stem == "__init__":
            (docstring,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(docstring, ast.Expr), name(path)


def test_no_modules_import_each_other_even_indirectly() -> None:
    graph = grimp.build_graph(*ROOMS)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while ends := {module for module, ways in imports.items() if not ways & imports.keys()}:
        imports = {module: ways for module, ways in imports.items() if module not in ends}
    assert not imports, f"in a circle, or above one: {sorted(imports)}"


@pytest.mark.parametrize("path", [path for path in FILES if "output" not in path.parts], ids=name)
def test_errors_are_raised_and_nothing_is_printed(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Raise):
            assert "NotImplementedError" not in ast.dump(node), f"{name(path)}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{name(path)}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(inner, ast.Pass) for inner in node.body)
            assert not (silent and node.type is None), f"{name(path)}:{node.lineno} swallows everything"


def test_stations_load_heavy_libraries_late() -> None:
    assert loaded_by(modules("tasks", "sql")) <= {"pandas", "numba"}


def test_the_command_line_loads_nothing_heavy_at_start() -> None:
    assert loaded_by(["flows.command_line"]) <= {"typer"}


def test_a_training_loads_nothing_heavy_before_its_model() -> None:
    assert loaded_by(["tasks.training.child", "models.artefact", "models.baselines.popularity"]) == set()


def test_only_the_flows_themselves_load_prefect() -> None:
    prefect_modules = [module for module in modules("flows") if module.startswith(PREFECTS_OWN)]
    names = [module for module in modules("flows") if module not in prefect_modules]
    assert not loaded_by(names) & {"prefect", "torch", "great_expectations", "pyspark", "implicit"}
    prefect_modules = [module for module in prefect_modules if module not in WITHOUT_PREFECT]
    without = (
        "import sys, importlib\n"
        "sys.modules['prefect'] = None  # an import of it fails, which is quicker than to load it for each\n"
        "for name in sys.argv[1:]:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error: assert error.name.startswith('prefect'), error; continue\n"
        "    sys.exit(f'{name} does not load prefect')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", without, *prefect_modules], check=True, env=environment)


@pytest.mark.parametrize("path", [path for path in FILES if {"flows", "tasks"} & {*path.parts}], ids=name)
def test_memory_and_threads_come_from_the_resources(path: Path) -> None:
    takers = {
        alias.name
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("models.")
        for alias in node.names
    } & TAKE_THREADS
    file = name(path)
    for node in nodes(path):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and path.name != "sections.py":
            assert not (isinstance(node.value, str) and BUDGET.fullmatch(node.value)), where
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            asks = called in COUNT_CORES and path.stem not in ("resources", "machine")
            assert not asks, f"{where} counts the cores itself"
            if called in takers or called in ("recommend", "iter_recommend"):
                given = {keyword.arg for keyword in node.keywords}
                assert given & {"threads", None}, f"{where} {called}: expected threads"
