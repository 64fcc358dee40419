"""The command `init`: propose a configuration for logs, from a sample of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import DEFAULT_CONFIG
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.proposal.proposal import Proposal
    from tasks.proposal.trial import Trial


def init(
    samples: Annotated[list[str], typer.Argument(metavar="SAMPLE...", help="Files or folders of logs.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The configuration file to write.")
    ] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Look at logs, propose a nightshelf.toml for them, and try it on their first rows."""
    with out.user_errors(), tempfile.TemporaryDirectory(prefix="nightshelf-init-") as scratch:
        from tasks.proposal.file import require_free, write_proposal
        from tasks.proposal.proposal import propose
        from tasks.runtime.wording import counted

        require_free(output, force=force)
        proposal = propose(samples, output.absolute().parent, Path(scratch))
        write_proposal(proposal.text, output, force=force)
        for left in proposal.left_out:
            out.print_line(f"Not read: {left}", style="yellow")
        if proposal.missing:
            _fail_incomplete(proposal, output)
        files = counted(len(proposal.files), "file")
        out.print_line(f"{output} written, from {files}.")
        for note in proposal.notes:
            out.print_line(f"check: {note}", style="yellow")
        _try(proposal, output, Path(scratch))


def _fail_incomplete(proposal: Proposal, output: Path) -> None:
    lines = "; ".join(proposal.fill_in())
    out.fail(f"{output} written, but not every column was recognised. Fill in {lines}")


def _try(proposal: Proposal, output: Path, scratch: Path) -> None:
    """Classify the first rows by the written file, show them, and say what comes next."""
    from tasks.configuration.configuration import load
    from tasks.proposal.trial import try_rows

    configuration = load(output)
    (source,) = configuration.sources
    trial = try_rows(configuration, source, proposal.files, scratch / "trial")
    columns = ("file", "line", "user", "item", "time (UTC)", "event type", "outcome")
    rows = [
        (row.file, row.line, row.user, row.item, row.time, row.event_type, row.outcome) for row in trial.first
    ]
    out.print_table(columns, rows, "The first rows")
    out.print_line(f"{trial}.")
    if not trial.accepted:
        out.fail(f"no row of the sample would be accepted: correct {output}, then try `nightshelf doctor`")
    limit = configuration.gate.max_quarantined_share
    if trial.quarantined > limit * trial.rows:
        share = trial.quarantined / trial.rows
        out.print_line(
            f"check: {share:.0%} of the rows would be quarantined, and a night with over {limit:.0%} is "
            "refused: correct the settings, or raise [gate] max_quarantined_share",
            style="yellow",
        )
    _print_next(output, trial)


def _print_next(output: Path, trial: Trial) -> None:
    import shlex

    config = "" if output == DEFAULT_CONFIG else f" --config {shlex.quote(str(output))}"
    out.print_line("Next:")
    out.print_line(f"  nightshelf doctor{config}")
    out.print_line(f"  nightshelf run{config} --as-of {trial.last_day}")


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("init")(init)
