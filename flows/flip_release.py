"""The flows `publish` and `rollback`: choose the release that readers follow, from the UI."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from flows.night.pointer import point_readers, release_id_of
from flows.night.publish_refused import publish_refused
from flows.orchestration.artifacts import show_releases
from flows.orchestration.mistakes import failed
from flows.orchestration.parameters import Reason
from tasks.configuration.configuration import load
from tasks.configuration.file import store_path
from tasks.report.markdown import markdown
from tasks.report.summary import effect_on_readers
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.store.layout import Store


@flow(name="publish", flow_run_name="publish {release_id}", persist_result=False)
def publish(
    *,
    release_id: Annotated[str, Field(min_length=1)],
    reason: Reason,
    force: bool = False,
    config: str = "nightshelf.toml",
) -> Any:
    """Make an existing release current after checking its files, or publish a refused night.

    Args:
        release_id: The release, such as 2026-11-20-20261121T023000Z, or its date, such as 2026-11-20.
        reason: The reason, kept with the run and its artifact.
        force: Publish a night that its quality gate refused; its manifest says who did so, when and why.
        config: Path of the configuration file, which names the store.
    """
    if force:
        return _publish_refused(config, release_id.strip(), reason)
    return _move_readers(config, release_id.strip(), "publish", reason)


@flow(name="rollback", flow_run_name="rollback", persist_result=False)
def rollback(*, reason: Reason, release_id: str = "", config: str = "nightshelf.toml") -> Any:
    """Point readers back to the previously current release after checking its files.

    Args:
        reason: The reason, kept with the run and its artifact.
        release_id: The release to go back to, or its date; if empty, the previously current release.
        config: Path of the configuration file, which names the store.
    """
    return _move_readers(config, release_id.strip() or None, "rollback", reason)


def _publish_refused(config: str, release_id: str, reason: str) -> Any:
    """Publish a refused night; return its id and the override, or Failed with the message."""
    try:
        configuration = load(Path(config))
        chosen = release_id_of(Store(configuration.store.path), release_id, refused=True)
        record = publish_refused(configuration, chosen, reason)
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    facts = record.override
    get_run_logger().warning("%s published by force: %s", record.release_id, facts["reason"])
    lines = [
        f"`{record.release_id}` was published although its quality gate had refused it.",
        f"**Reason:** {markdown(facts['reason'])}",
        f"**Overridden:** {', '.join(map(markdown, facts['checks']))}",
        effect_on_readers(record),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key="current-release", description="Which release is current"
    )
    show_releases(Store(configuration.store.path))
    return {"to": record.release_id, "override": facts}


def _move_readers(config: str, to: str | None, purpose: str, reason: str) -> Any:
    """Move readers; return the ids of both releases, or Failed with the message."""
    try:
        if not reason.strip():  # the form's length check accepts blanks
            return failed("expected a reason, got blanks")
        store = Store(store_path(Path(config)))
        before, after = point_readers(store, to and release_id_of(store, to), purpose)
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    get_run_logger().info("readers moved from %s to %s: %s", before, after.release_id, reason)
    previous = f"`{before}`" if before else "a damaged pointer"
    lines = [
        f"Readers moved from {previous} to `{after.release_id}` (as of {after.as_of}).",
        f"**Reason:** {markdown(reason)}",
        *([f"To undo: run `publish` with the release id `{before}`."] if before else []),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key="current-release", description="Which release is current"
    )
    show_releases(store)
    return {"from": before, "to": after.release_id}
