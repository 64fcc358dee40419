"""The flows `publish` and `rollback`: which release readers are led to, changed by a button in the UI."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.states import Failed
from pydantic import Field

from flows.night.pointer import point_readers
from flows.night.publish_refused import publish_refused
from flows.orchestration.parameters import Reason
from tasks.configuration.configuration import load
from tasks.configuration.file import store_path
from tasks.report.markdown import markdown
from tasks.report.summary import readers
from tasks.runtime.errors import EXPECTED
from tasks.store.layout import Store


@flow(name="publish", flow_run_name="publish {release_id}", persist_result=False)
def publish(
    *,
    release_id: Annotated[str, Field(min_length=1)],
    reason: Reason,
    force: bool = False,
    config: str = "nightshelf.toml",
) -> Any:
    """Make an existing release the current one, after its files were checked; or one that was refused.

    Args:
        release_id: The release, such as 2026-11-20-20261121T023000Z; `nightshelf releases` lists them.
        reason: Why; kept with the run and its artifact.
        force: Publish a night that its quality gate refused; its manifest says who did, when and why.
        config: Path of the configuration file, which names the store.
    """
    if force:
        return _force(config, release_id.strip(), reason)
    return _flip(config, release_id.strip(), "publish", reason)


@flow(name="rollback", flow_run_name="rollback", persist_result=False)
def rollback(*, reason: Reason, release_id: str = "", config: str = "nightshelf.toml") -> Any:
    """Lead readers back to the release that was current before, after its files were checked.

    Args:
        reason: Why; kept with the run and its artifact.
        release_id: The release to go back to; the one that was current before, if left empty.
        config: Path of the configuration file, which names the store.
    """
    return _flip(config, release_id.strip() or None, "rollback", reason)


def _force(config: str, release_id: str, reason: str) -> Any:
    """Publish a refused night; return its id and the override, or the state Failed with what is wrong."""
    try:
        record = publish_refused(load(Path(config)), release_id, reason)
    except EXPECTED as error:
        return Failed(message=str(error))
    facts = record.override
    get_run_logger().warning("%s published by force: %s", record.release_id, facts["reason"])
    lines = [
        f"`{record.release_id}` was published although its quality gate had refused it.",
        f"**Reason:** {markdown(facts['reason'])}",
        f"**Overridden:** {', '.join(map(markdown, facts['checks']))}",
        readers(record),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key="current-release", description="Which release is current"
    )
    return {"to": record.release_id, "override": facts}


def _flip(config: str, to: str | None, purpose: str, reason: str) -> Any:
    """Move readers; return the ids of both releases, or the state Failed with what is wrong."""
    try:
        if not reason.strip():  # a form's check of its length lets blanks through
            return Failed(message="expected a reason, got blanks")
        before, after = point_readers(Store(store_path(Path(config))), to, purpose)
    except EXPECTED as error:
        return Failed(message=str(error))
    get_run_logger().info("readers moved from %s to %s: %s", before, after.release_id, reason)
    left = f"`{before}`" if before else "a damaged pointer"
    lines = [
        f"Readers moved from {left} to `{after.release_id}` (as of {after.as_of}).",
        f"**Reason:** {markdown(reason)}",
        *([f"To undo: run `publish` with the release id `{before}`."] if before else []),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key="current-release", description="Which release is current"
    )
    return {"from": before, "to": after.release_id}
