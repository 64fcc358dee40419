"""The command `init`: propose a configuration for logs, from a sample of them."""

from __future__ import annotations

import tempfile
from datetime import date
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
            out.print_line(f"Not read: {left}", style="yellow" if left.is_news else "")
        if proposal.missing:
            _fail_incomplete(proposal, output)
        files = counted(len(proposal.files), "file")
        kinds = f" of {len(proposal.sources)} kinds, a source each" if len(proposal.sources) > 1 else ""
        out.print_line(f"{output} written, from {files}{kinds}.")
        for note in proposal.notes:
            out.print_line(f"check: {note}", style="yellow")
        _try(proposal, output, Path(scratch))


def _fail_incomplete(proposal: Proposal, output: Path) -> None:
    lines = "; ".join(proposal.fill_in())
    out.fail(f"{output} written, but not every column was recognised. Fill in {lines}")


def _try(proposal: Proposal, output: Path, scratch: Path) -> None:
    """Classify the first rows of each source by the written file, show them, and say what comes next."""
    from tasks.configuration.configuration import load
    from tasks.proposal.trial import try_rows

    configuration = load(output)
    last_days = []
    for number, (source, proposed) in enumerate(zip(configuration.sources, proposal.sources, strict=True)):
        trial = try_rows(configuration, source, proposed.files, scratch / f"trial-{number}")
        _show(trial, source.name, configuration.gate.max_quarantined_share)
        if not trial.accepted:
            of = f" of {source.name}" if source.name else ""
            out.fail(
                f"no row{of} in the sample would be accepted: correct {output}, then try `nightshelf doctor`"
            )
        last_days.append(trial.last_day)
    _print_next(output, max(filter(None, last_days)))


def _show(trial: Trial, name: str, limit: float) -> None:
    """Show the first rows of a source, of this name if there are several."""
    of = f" of {name}" if name else ""
    columns = ("file", "line", "user", "item", "time (UTC)", "event type", "outcome")
    rows = [
        (row.file, row.line, row.user, row.item, row.time, row.event_type, row.outcome) for row in trial.first
    ]
    out.print_table(columns, rows, f"The first rows{of}")
    out.print_line(f"{name}: {trial}." if name else f"{trial}.")
    if trial.accepted and trial.quarantined > limit * trial.rows:
        share = trial.quarantined / trial.rows
        out.print_line(
            f"check: {share:.0%} of the rows{of} would be quarantined, and a night with over {limit:.0%} is "
            "refused: correct the settings, or raise [gate] max_quarantined_share",
            style="yellow",
        )


def _print_next(output: Path, last_day: date) -> None:
    import shlex

    config = "" if output == DEFAULT_CONFIG else f" --config {shlex.quote(str(output))}"
    out.print_line("Next:")
    out.print_line(f"  nightshelf doctor{config}")
    out.print_line(f"  nightshelf run{config} --as-of {last_day}")


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("init")(init)
