"""The command `doctor`: check whether this machine can run a night, and advise if it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.monitoring.machine import Check

STYLES = {"ok": "", "missing": "yellow", "problem": "bold red"}
FREE_BYTES = 512 * 2**20  # as flows/night/lifecycle.py requires before a run


def doctor(
    context: typer.Context,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Check machine, configuration, store and logs, and advise; exit code 1 for a problem."""
    source = context.get_parameter_source("config")
    config_given = source is not None and source.name != "DEFAULT"
    with out.user_errors():
        checks = list(_checks(config, config_given, store))
        problems = sum(check.state == "problem" for check in checks)
        if as_json:
            document: dict[str, Any] = {"problems": problems}
            out.print_json(document | {"checks": [dataclasses.asdict(check) for check in checks]})
        else:
            for check in checks:
                _print_check(check)
            count = f"{problems} problem{'s' if problems > 1 else ''}"
            out.print_line(count if problems else "no problems")
    if problems:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("doctor")(doctor)


def _checks(config: Path, config_given: bool, store: Path | None) -> Iterator[Check]:
    import flows.orchestration.settings  # noqa: F401 - no proxy between this program and its server
    from tasks.configuration.sections import bytes_of
    from tasks.monitoring import machine, readiness
    from tasks.store.layout import Store

    configuration, checks = readiness.configuration_checks(config, config_given)
    yield machine.python_check()
    yield from machine.package_checks()
    yield machine.java_check(needed=configuration is not None and configuration.engine.name == "spark")
    yield from machine.gpu_checks(configuration is not None and configuration.train.device == "cuda")
    yield machine.memory_check(bytes_of(configuration.engine.memory) if configuration else None)
    yield machine.cores_check()
    yield machine.time_zone_check()
    yield machine.prefect_check()
    yield from checks
    root = store or (configuration.store.path if configuration else None)
    if root is not None:
        yield from readiness.store_checks(Store(root), FREE_BYTES)
    if configuration is not None:
        yield from readiness.source_checks(configuration)
        yield from readiness.rows_checks(configuration)
        yield from readiness.catalogue_checks(configuration)
        from flows.night.catch_up import missed

        yield from readiness.missing_check(
            missed(configuration),
            by_choice=configuration.schedule.catch_up == "last",
        )


def _print_check(check: Check) -> None:
    """Print one check on a line and its advice below."""
    optional = " (optional)" if check.state == "missing" else ""
    out.print_line(f"{check.state:<8} {check.name}: {check.found}{optional}", STYLES[check.state])
    if check.advice:
        out.print_line(f"{'':<8} -> {check.advice}")
