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
PLANNED = 15.0  # seconds in which a server plans the next run of a new schedule


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
        from flows.stack.processes import StackError, exclusive, read_stack, stack_folder
        from flows.stack.start import read_secret, start, stop
        from tasks.configuration.file import store_path

        folder = stack_folder(store_path(config))
        stack = read_stack(folder)
        if status and stack is None:
            raise StackError(f"no stack is up for {config}; `nightshelf up` starts one")
        started = stack is None or (not status and stack.is_gone)
        if stack is None or started:
            with exclusive(folder):
                stop(folder)  # what is left of a stack whose server was killed, or the machine
                stack = start(
                    config,
                    folder,
                    port=port,
                    gpu=gpu,
                    auth=read_secret(auth_file),
                    cron=cron,
                    announce=out.note,
                )
        elif not status:
            _supervise_again(stack, folder)
        _require_parts(stack, folder)
        _show(stack, folder, started, as_json)


def _supervise_again(stack: Stack, folder: Path) -> None:
    """Start the supervisor again if it alone, or with a worker, was killed."""
    from flows.stack.processes import SUPERVISOR, exclusive
    from flows.stack.start import supervise

    if SUPERVISOR in stack.dead():
        server = stack.parts[0].process()
        environment = server.environ() if server else {}
        with exclusive(folder):
            supervise(folder, stack, environment)
        out.note("the supervisor was down and is started again")


def _require_parts(stack: Stack, folder: Path) -> None:
    """Raise StackError with the log of a part that is down."""
    from flows.stack.processes import SUPERVISOR, StackError, log_path, log_tail

    dead = stack.dead()
    if dead:
        remedy = (
            "`nightshelf up` starts it again"
            if SUPERVISOR in dead
            else "the supervisor starts it again, at the latest after five minutes"
        )
        raise StackError(
            f"the {dead[0]} is down; its log, {log_path(folder, dead[0])}, ends with:\n"
            f"{log_tail(folder, dead[0])}\n{remedy}; `nightshelf down` ends the rest"
        )


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
    from flows.stack.processes import SERVER, SUPERVISOR
    from flows.stack.schedule import stack_schedule

    schedule = stack_schedule(stack, PLANNED if started else 0.0)
    workers = [part.name for part in stack.parts if part.name not in {SERVER, SUPERVISOR}]
    if as_json:
        facts = {"url": stack.url, "fresh": started, "config": stack.config, "folder": folder}
        parts = [{"name": part.name, "pid": part.pid} for part in stack.parts]
        facts |= {"password": stack.password, "parts": parts}
        out.print_json(facts | {"schedule": schedule.model_dump()})
        return
    out.print_line(f"Prefect is {'up' if started else 'already up'}: {stack.url}", style="bold")
    out.print_facts(
        [
            ("for", "this machine only, " + ("with a password" if stack.password else "without a password")),
            ("runs", str(stack.config)),
            ("workers", ", ".join(workers) + ("" if "gpu-worker" in workers else " (--gpu adds one)")),
            ("schedule", schedule.text),
            ("logs", str(folder / "logs")),
        ]
    )
    out.print_line("By hand: in the UI, Deployments, then nightly or backfill, then Run, Custom run.")
    out.print_line("`nightshelf down` ends everything; the history of runs stays.")
