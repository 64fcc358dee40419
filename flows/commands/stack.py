"""The commands `up` and `down`: a local Prefect server with pools, deployments and workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from flows.output import terminal as out

if TYPE_CHECKING:
    from flows.stack.processes import Stack

PORT = 4200


def up(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The server's port on 127.0.0.1.")] = PORT,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Start a second worker, for the pool nightshelf-gpu.")
    ] = False,
    auth_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with user:password for its owner only; default: PREFECT_SERVER_API_AUTH_STRING."
        ),
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="When the night runs, as a cron expression; default: 30 2 * * *.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Start nothing; show what runs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a Prefect server on this machine, with pools, deployments, automations and a worker."""
    with out.user_errors():
        from flows.stack.processes import StackError, exclusive, log_path, log_tail, read_stack, stack_folder
        from flows.stack.start import read_secret, start
        from tasks.configuration.file import store_path

        folder = stack_folder(store_path(config))
        stack = read_stack(folder)
        if status and stack is None:
            raise StackError(f"no stack is up for {config}; `nightshelf up` starts one")
        started = stack is None
        if stack is None:
            with exclusive(folder):
                stack = start(
                    config,
                    folder,
                    port=port,
                    gpu=gpu,
                    auth=read_secret(auth_file),
                    cron=cron,
                    announce=out.note,
                )
        dead = stack.dead()
        if dead:
            raise StackError(
                f"the {dead[0]} is down; its log, {log_path(folder, dead[0])}, ends with:\n"
                f"{log_tail(folder, dead[0])}\n"
                "`nightshelf down` ends the rest, `nightshelf up` starts everything again"
            )
        _show(stack, folder, started, as_json)


def down(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """End the processes that `up` started, and their runs; the history of runs stays."""
    with out.user_errors():
        from flows.stack.processes import exclusive, stack_folder
        from flows.stack.start import stop
        from tasks.configuration.file import store_path

        folder = stack_folder(store_path(config))
        ended: list[str] = []
        if folder.exists():
            with exclusive(folder):
                ended = stop(folder)
        if as_json:
            out.print_json({"ended": ended})
        else:
            out.print_line(f"ended: {', '.join(ended)}" if ended else f"nothing was up for {config}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("up")(up)
    app.command("down")(down)


def _show(stack: Stack, folder: Path, started: bool, as_json: bool) -> None:
    workers = [part.name for part in stack.parts if part.name != "server"]
    if as_json:
        facts = {"url": stack.url, "fresh": started, "config": stack.config, "folder": folder}
        parts = [{"name": part.name, "pid": part.pid} for part in stack.parts]
        out.print_json(facts | {"password": stack.password, "parts": parts})
        return
    out.print_line(f"Prefect is {'up' if started else 'already up'}: {stack.url}", style="bold")
    out.print_facts(
        [
            ("for", "this machine only, " + ("with a password" if stack.password else "without a password")),
            ("runs", str(stack.config)),
            ("workers", ", ".join(workers) + ("" if "gpu-worker" in workers else " (--gpu adds one)")),
            ("logs", str(folder / "logs")),
        ]
    )
    out.print_line("By hand: in the UI, Deployments, then nightly or backfill, then Run, Custom run.")
    out.print_line("`nightshelf down` ends everything; the history of runs stays.")
