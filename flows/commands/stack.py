"""The commands `up` and `down`: a Prefect server with all that runs nights by schedule and by button."""

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
            help="A file with user:password, for its owner alone; PREFECT_SERVER_API_AUTH_STRING if left out."
        ),
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="When the night runs, as cron has it; 30 2 * * * if left out.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Start nothing: say what runs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a Prefect server for this machine alone, with pools, deployments, automations and a worker."""
    with out.user_errors():
        from flows.stack.processes import StackError, alone, log_of, read_stack, stack_folder, tail_of
        from flows.stack.start import secret_of, start
        from tasks.configuration.file import store_path

        folder = stack_folder(store_path(config))
        stack = read_stack(folder)
        if status and stack is None:
            raise StackError(f"no stack is up for {config}; `nightshelf up` starts one")
        fresh = stack is None
        if stack is None:
            with alone(folder):
                stack = start(
                    config, folder, port=port, gpu=gpu, auth=secret_of(auth_file), cron=cron, tell=out.note
                )
        dead = stack.dead()
        if dead:
            raise StackError(
                f"the {dead[0]} is down; its log, {log_of(folder, dead[0])}, ends with:\n"
                f"{tail_of(folder, dead[0])}\n"
                "`nightshelf down` ends the rest, `nightshelf up` starts all of it again"
            )
        _show(stack, folder, fresh, as_json)


def down(*, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """End what `up` started, and the runs it had begun; the history of runs stays."""
    with out.user_errors():
        from flows.stack.processes import alone, stack_folder
        from flows.stack.start import stop
        from tasks.configuration.file import store_path

        folder = stack_folder(store_path(config))
        ended: list[str] = []
        if folder.exists():
            with alone(folder):
                ended = stop(folder)
        if as_json:
            out.print_json({"ended": ended})
        else:
            out.print_line(f"ended: {', '.join(ended)}" if ended else f"nothing was up for {config}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("up")(up)
    app.command("down")(down)


def _show(stack: Stack, folder: Path, fresh: bool, as_json: bool) -> None:
    workers = [part.name for part in stack.parts if part.name != "server"]
    if as_json:
        facts = {"url": stack.url, "fresh": fresh, "config": stack.config, "folder": folder}
        parts = [{"name": part.name, "pid": part.pid} for part in stack.parts]
        out.print_json(facts | {"password": stack.password, "parts": parts})
        return
    out.print_line(f"Prefect is {'up' if fresh else 'already up'}: {stack.url}", style="bold")
    out.print_facts(
        [
            ("for", "this machine alone, " + ("with a password" if stack.password else "without a password")),
            ("runs", str(stack.config)),
            ("workers", ", ".join(workers) + ("" if "gpu-worker" in workers else " (--gpu adds one)")),
            ("logs", str(folder / "logs")),
        ]
    )
    out.print_line("By hand: in the UI, Deployments, then nightly or backfill, then Run, Custom run.")
    out.print_line("`nightshelf down` ends all of it; the history of runs stays.")
