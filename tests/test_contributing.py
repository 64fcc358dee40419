"""The front documents are correct: paths, commands, links, and CONTRIBUTING.md's checklists."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from worlds.hostile_files.cases import CASES
from worlds.paths import ROOT
from worlds.release_world import World, good_tables

from flows.command_line import app
from flows.orchestration.parameters import ModelName
from flows.output.run import SAMPLES
from models import registry
from sql.engines.engine import Dialect
from sql.landing.landing import FORMATS, TEXTS, file_format
from sql.reading import Format, Reading
from tasks.configuration.sections import EngineName
from tasks.release.audit import audit
from tasks.release.tables import TABLES, Table, markdown


def returns_result(node: ast.FunctionDef) -> bool:
    return isinstance(node.returns, ast.Name) and node.returns.id == "Result"


PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md"))
    if path.name != "CHANGELOG.md"
)
TOP_LEVEL = ("flows", "tasks", "models", "sql", "tests", "docs", "deployments", "benchmarks")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHECKLISTS = dict(re.findall(r"^## (Add .*?)\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.MULTILINE | re.DOTALL))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PYPROJECT["tool"]["importlinter"]["contracts"]
STATIONS = {
    node.name: node
    for path in sorted((ROOT / "flows/night").glob("*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_station") and returns_result(node)
}
DIALECTS = [
    getattr(import_module(f"sql.engines.{path.stem}"), kind)
    for path in sorted((ROOT / "sql/engines").glob("*_engine.py"))
    for kind in re.findall(r"^class (\w+Dialect)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
]
EXPRESSIONS = [name for name in vars(Dialect) if not name.startswith("_")]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors derived from a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- the pages


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_has_a_target(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        path = code.partition("::")[0]
        if path.partition("/")[0] in TOP_LEVEL and "/" in path and not re.search(r"[\s<{$]", path):
            kept = f"/{path}" in read(".gitignore").split() or list(ROOT.glob(path.rstrip("/")))
            assert kept, f"{page_name(page)} names {code}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE)) <= targets
    for module in re.findall(r"python -m ([\w.]+\w)", text):
        assert find_spec(module) is not None, module


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    commands = typer.main.get_command(app).commands
    called = r"^ *(?:\w+=\S+ )?nightshelf (\w+)(.*)|`(?:\w+=\S+ )?nightshelf (\w+)([^`]*)`"
    for call in re.finditer(called, page.read_text(encoding="utf-8"), re.MULTILINE):
        name, rest = call[1] or call[3], (call[2] or call[4] or "").partition("#")[0]
        assert name in commands, call[0]
        known = {option for parameter in commands[name].params for option in parameter.opts}
        known |= {option for parameter in commands[name].params for option in parameter.secondary_opts}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known, call[0]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_prose_is_wrapped_at_100_columns(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^\s*```.*?^\s*```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in prose.splitlines():
        assert len(line) <= 100 or line.startswith(("| ", "One row per ")), line  # tables, and their captions


def test_the_floors_of_the_design_page_are_those_of_the_contracts() -> None:
    rooms = dict(re.findall(r"^\*\*`(\w+)`\*\*\n\n((?:\|.*\n)+)", read("docs/design.md"), re.MULTILINE))
    floors = {c["containers"][0]: c["layers"] for c in CONTRACTS if "containers" in c}
    assert set(rooms) == set(floors)
    for room, table in rooms.items():
        cells = [row.split("|")[1] for row in table.splitlines()[2:]]
        listed = [{name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", cell)} for cell in cells]
        assert listed == [set(layer.split(" | ")) for layer in floors[room]], room


@pytest.mark.parametrize("room", ["flows", "tasks", "models", "sql"])
def test_the_readme_names_the_packages_of_each_room(room: str) -> None:
    (row,) = re.findall(rf"^\| `{room}/` \|.*$", read("README.md"), re.MULTILINE)
    packages = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    assert packages == set(re.findall(r"`(\w+)`", row))


def test_the_glossary_is_in_order_and_every_home_is_a_path() -> None:
    glossary = re.search(r"^## Glossary\n(.*?)^## ", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    assert glossary is not None
    rows = re.findall(r"^\| (.+?) \| (.+?) \| `(.+?)` \|$", glossary[1], re.MULTILINE)
    nouns = [noun.replace(",", "") for noun, *_ in rows]
    assert nouns == sorted(nouns)
    assert all((ROOT / home).exists() for *_, home in rows)


def test_pre_commit_runs_tools_that_are_installed_and_fetches_none() -> None:
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert hook["language"] == "system"
        assert (Path(sys.executable).parent / tool).is_file()


def test_every_kind_of_addition_has_a_checklist() -> None:
    assert list(CHECKLISTS) == [
        "Add a model",
        "Add a table",
        "Add a station",
        "Add a source format",
        "Add to an engine's dialect, or add an engine",
    ]
    assert all(len(re.findall(r"^- \[ \] ", steps, re.MULTILINE)) >= 6 for steps in CHECKLISTS.values())


# --- a model


@pytest.mark.parametrize("name", registry.built_in())
def test_a_model_meets_its_checklist(name: str) -> None:
    kind = registry.model_class(name)
    module = Path(inspect.getfile(kind)).relative_to(ROOT)
    family = module.parent.name
    assert module.parts[:2] == ("models", family)
    assert kind.Config.model_config["frozen"]
    assert kind.__doc__
    assert kind.Config.__doc__
    assert set(kind.space) <= set(kind.Config.model_fields)
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/models" / family).glob("test_*.py")]
    assert any(f'"{name}"' in text or re.search(rf"\b{kind.__name__}\b", text) for text in tests)
    assert f'\n    model = "{name}"\n' in read("tests/models/test_model_contract.py")
    assert f"\n## [models.{name}]\n" in read("docs/configuration.md")
    assert name in get_args(ModelName)


def test_the_forms_offer_every_model() -> None:
    assert get_args(ModelName) == registry.built_in()


# --- a table


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_table_meets_its_checklist(table: Table) -> None:
    assert markdown(table) in read("docs/tables.md")
    assert f"\n| `{table.name}` |" in read("README.md")
    assert table.name in SAMPLES
    assert set(good_tables()[table.name]) == {column.name for column in table.columns}
    types = {column.type for column in table.columns if isinstance(column.type, str)}
    if "item" in types:
        comment = f"COMMENT ON VIEW {table.name}_with_titles IS '"
        assert comment in read("sql/release/views.sql")
    if "user" in types:
        assert f'"{table.name}"' in read("tasks/erasure/releases.py")


def test_the_audit_requires_every_table(tmp_path: Path) -> None:
    result = audit(tmp_path, World(tmp_path).expectations())
    assert {failure.table for failure in result.failures} == set(TABLES)
    checks = read("docs/tables.md").partition("## What the audit checks")[2]
    named = set(re.findall(r"\w+_\w+|recommendations", checks))
    assert set(TABLES) - {"validation_results"} <= named  # only its schema is checked


# --- a station


@pytest.mark.parametrize("name", STATIONS)
def test_a_station_meets_its_checklist(name: str) -> None:
    station = STATIONS[name]
    summary = ast.get_docstring(station) or ""
    assert summary.endswith(".")
    assert "\n" not in summary  # Prefect shows the docstring
    assert station.args.args[0].arg == "night"
    used = {node.id for node in ast.walk(ast.parse(read("flows/night/run.py"))) if isinstance(node, ast.Name)}
    assert name in used


def test_the_design_page_lists_the_stations_with_their_packages() -> None:
    rows = re.findall(r"^\| `(\w+_station)` \| (.*?) \|", read("docs/design.md"), re.MULTILINE)
    assert {name for name, _ in rows} == set(STATIONS)
    for name, homes in rows:
        packages = re.findall(r"`(tasks/\w+)/`", homes)
        assert packages, name
        assert all((ROOT / package / "__init__.py").is_file() for package in packages)


# --- a source format


def form_of(name: str) -> str | None:
    return FORMATS.get(Path(name.removesuffix(".gz")).suffix)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_suffix_determines_the_format_and_is_documented(suffix: str) -> None:
    compressed = [f"LOG{suffix.upper()}.gz", f"log{suffix}.zst"] if FORMATS[suffix] in TEXTS else []
    for name in (f"log{suffix}", *compressed):
        assert file_format(name, Reading()) == FORMATS[suffix]
    assert suffix in read("docs/input.md")


@pytest.mark.parametrize("form", sorted(set(get_args(Format)) - {"auto"}))
def test_a_source_format_meets_its_checklist(form: str) -> None:
    assert form in FORMATS.values()
    cases = [case for case in CASES if form_of(case.file) == form]
    assert any(not case.refused and not case.rules for case in cases), "a clean file"
    assert any(case.refused or case.rules for case in cases), "a damaged file"
    fuzzed = re.search(r"^FORMATS = (\(.*\))$", read("tests/attacks/test_fuzz_ingest.py"), re.MULTILINE)
    assert fuzzed is not None
    assert form in ast.literal_eval(fuzzed[1])


# --- an engine and its dialect


def test_every_configurable_engine_has_its_file_and_tests() -> None:
    fixture = next(
        node
        for node in ast.parse(read("tests/conftest.py")).body
        if isinstance(node, ast.FunctionDef) and node.name == "engine"
    )
    parameters = ast.unparse(fixture.decorator_list[0])
    for name in get_args(EngineName):
        assert (ROOT / f"sql/engines/{name}_engine.py").is_file()
        assert f"'{name}'" in parameters
    assert len(DIALECTS) == len(get_args(EngineName))


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.__name__)
def test_every_engine_spells_every_expression(dialect: type, expression: str) -> None:
    expected = inspect.signature(getattr(Dialect, expression))
    assert inspect.signature(getattr(dialect, expression)) == expected
    assert f"engine.dialect.{expression}(" in read("tests/sql/engines/test_dialects.py")
