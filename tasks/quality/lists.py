"""Checks of tonight's lists against the previous release's: breadth, popularity, change.

Both are measured with tonight's catalogue and popularity, so that only the lists differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.quality.checks import QualityCheck, skipped_check
from tasks.recommendations.serving import ACTIVITY, segment_positions
from tasks.runtime.wording import counted

if TYPE_CHECKING:
    from tasks.configuration.model_sections import QualitySection
    from tasks.release.releases import Release

Ints = npt.NDArray[np.int32]
ROWS: Final = 1_000_000  # rows read at a time


@dataclass(frozen=True)
class Lists:
    """The first ranks of a table of recommendations: items int32 (n_users, k), -1 if unknown."""

    users: pa.Array
    items: Ints


@dataclass(frozen=True)
class Catalogue:
    """Tonight's items: ids, availability, and the number of their users, of `n_users` in all."""

    ids: pa.Array
    available: npt.NDArray[np.bool_]
    popularity: npt.NDArray[np.int64]
    n_users: int


@dataclass(frozen=True)
class Breadth:
    """Metrics of all lists together, as defined in models/evaluation/beyond_accuracy.py."""

    coverage: float
    gini: float
    head_share: float
    novelty: float


def read_lists(path: Path, items: pa.Array, k: int) -> Lists:
    """Return the first `k` ranks of a table sorted by user and rank, as indices into `items`."""
    users: list[pa.Array] = []
    columns: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    n_read, last_user = 0, None
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["user_id", "rank", "item_id"]):
            owners, ranks = batch["user_id"], batch["rank"].to_numpy()
            changed = np.ones(len(batch), np.bool_)
            changed[1:] = pc.not_equal(owners[1:], owners[:-1]).to_numpy(zero_copy_only=False)
            changed[0] = last_user is None or owners[0].as_py() != last_user
            number = n_read + np.cumsum(changed) - 1
            first = ranks <= k
            indices = pc.fill_null(pc.index_in(batch["item_id"], items), -1).to_numpy()
            columns.append((number[first], ranks[first].astype(np.int64), indices[first].astype(np.int64)))
            users.append(owners.filter(pa.array(changed)))
            n_read, last_user = int(number[-1]) + 1, owners[-1].as_py()
    if not columns:
        return Lists(pa.array([], pa.string()), np.zeros((0, k), np.int32))
    number, ranks, indices = (np.concatenate(part) for part in zip(*columns, strict=True))
    lists = np.full((n_read, int(ranks.max())), -1, np.int32)
    lists[number, ranks - 1] = indices
    return Lists(pa.concat_arrays(users), lists)


def breadth(lists: Lists, catalogue: Catalogue) -> Breadth:
    """Return the breadth of lists over a catalogue."""
    from models.evaluation import beyond_accuracy as beyond

    k, items = lists.items.shape[1], lists.items
    head = beyond.head_items(catalogue.popularity)
    return Breadth(
        beyond.coverage(items, k, catalogue.available),
        beyond.gini(items, k, catalogue.available),
        float(np.nanmean(beyond.head_share(items, k, head))),
        float(np.nanmean(beyond.novelty(items, k, catalogue.popularity, catalogue.n_users))),
    )


def list_checks(
    configuration: Configuration, dataset: Path, staging: Path, before: Release | None
) -> Iterator[QualityCheck]:
    """Yield the checks of tonight's lists, against bounds and against the release `before`."""
    settings = configuration.quality
    items, users = read(dataset, "items", ["item_id", "available", "users"]), read(dataset, "users")
    catalogue = Catalogue(
        items["item_id"].combine_chunks(),
        items["available"].to_numpy(),
        items["users"].to_numpy(),
        len(users),
    )
    k = min(settings.k, configuration.top_n.n)
    lists, previous = read_lists(staging / "recommendations.parquet", catalogue.ids, k), None
    if before is not None:
        previous = _previous_lists(before, catalogue.ids, k)
    if previous is None:
        yield from _bound_checks(settings, breadth(lists, catalogue))
        reason = "no release of an earlier date" if before is None else "its ids are of another type"
        yield skipped_check("lists beside the last release's", f"nothing to compare with: {reason}")
        return
    k = min(lists.items.shape[1], previous.items.shape[1])
    lists, previous = Lists(lists.users, lists.items[:, :k]), Lists(previous.users, previous.items[:, :k])
    tonight_breadth, previous_breadth = breadth(lists, catalogue), breadth(previous, catalogue)
    yield from _bound_checks(settings, tonight_breadth)
    both = int(pc.sum(pc.is_in(lists.users, previous.users)).as_py() or 0)
    if both < settings.min_users:
        reason = f"{both} users in both, fewer than {settings.min_users}"
        yield skipped_check("lists beside the last release's", reason)
        return
    yield from _ratio_checks(settings, tonight_breadth, previous_breadth)
    yield from _churn_checks(settings, dataset, lists, previous)


def _previous_lists(before: Release, items: pa.Array, k: int) -> Lists | None:
    """Return the lists of a release; None if the type of ids differs or no item is known."""
    path = before.table("recommendations")
    if pq.read_schema(path).field("item_id").type != items.type:
        return None
    lists = read_lists(path, items, k)
    return lists if (lists.items >= 0).any() else None


def _bound_checks(settings: QualitySection, breadth: Breadth) -> Iterator[QualityCheck]:
    """Yield the checks against the configured bounds."""
    for name, value, low, high in (
        ("coverage", breadth.coverage, settings.min_coverage, None),
        ("gini", breadth.gini, None, settings.max_gini),
        ("head share", breadth.head_share, None, settings.max_head_share),
        ("novelty", breadth.novelty, settings.min_novelty, None),
    ):
        yield bound_check(name, value, low, high)


def _ratio_checks(settings: QualitySection, tonight: Breadth, previous: Breadth) -> Iterator[QualityCheck]:
    """Yield the checks against the breadth of the previous release."""
    for name, value, previous_value, minimum in (
        ("coverage", tonight.coverage, previous.coverage, settings.min_coverage_ratio),
        ("evenness, 1 - gini,", 1 - tonight.gini, 1 - previous.gini, settings.min_evenness_ratio),
        ("novelty", tonight.novelty, previous.novelty, settings.min_novelty_ratio),
    ):
        ratio = value / previous_value if previous_value > 0 else 1.0
        observed = f"{ratio:.3f} ({value:.4f} after {previous_value:.4f})"
        yield QualityCheck(
            f"{name} over the last", observed, f"at least {minimum:g}", ratio >= minimum, ratio
        )
    rise, maximum = tonight.head_share - previous.head_share, settings.max_head_share_rise
    observed = f"{rise:+.4f} ({tonight.head_share:.4f} after {previous.head_share:.4f})"
    yield QualityCheck("head share, rise", observed, f"at most {maximum:g}", rise <= maximum, rise)


def _churn_checks(
    settings: QualitySection, dataset: Path, lists: Lists, previous: Lists
) -> Iterator[QualityCheck]:
    """Yield the checks of changed lists, for users in both tables: all of them and by segment."""
    from models.evaluation.overlap import agreements, rank_biased_overlap

    positions = np.asarray(pc.fill_null(pc.index_in(lists.users, previous.users), -1).to_numpy())
    both = np.flatnonzero(positions >= 0)
    shared = agreements(lists.items[both], previous.items[positions[both]])
    overlaps, changed = rank_biased_overlap(shared, settings.rbo_p), 1 - shared[:, -1] / shared.shape[1]
    k, users = shared.shape[1], lists.users.take(pa.array(both))
    for name, chosen in (("all users", np.ones(len(both), np.bool_)), *_segments(settings, dataset, users)):
        mean, count = float(overlaps[chosen].mean()) if chosen.any() else 1.0, int(chosen.sum())
        check = f"overlap (RBO, p {settings.rbo_p:g}) @{k}, {name}"
        if count < settings.min_users:
            reason = f"{counted(count, 'user')}, fewer than {settings.min_users}"
            yield skipped_check(check, reason)
        else:
            low = settings.min_rbo
            yield QualityCheck(check, f"{mean:.4f}, {count} users", f"at least {low:g}", mean >= low, mean)
    for name, share, maximum in (
        (
            f"lists with more than {settings.mostly:.0%} new",
            changed > settings.mostly,
            settings.max_mostly_changed,
        ),
        ("lists all new", changed == 1, settings.max_entirely_changed),
    ):
        yield bound_check(f"{name} @{k}, share of users", float(share.mean()), None, maximum)


def _segments(
    settings: QualitySection, dataset: Path, users: pa.Array
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield the segments of users, by activity and by the configured attributes, as masks."""
    from models.evaluation.activity import ACTIVITY as NAMES

    known = read(dataset, "users", ["user_id", "items"])
    rows = np.asarray(pc.fill_null(pc.index_in(users, known["user_id"].combine_chunks()), -1).to_numpy())
    lengths = known["items"].to_numpy()
    attributes = read(dataset, "user_attributes", ["name", "value"])
    for by in (ACTIVITY, *settings.segments):
        values: list[str] = list(NAMES)
        if by != ACTIVITY:
            values = sorted(set(attributes.filter(pc.equal(attributes["name"], by))["value"].to_pylist()))
        positions = np.where(rows >= 0, segment_positions(by, values, dataset, lengths)[rows], -1)
        for position, value in enumerate(values):
            chosen = positions == position
            if chosen.any():
                yield value if by == ACTIVITY else f"{by} {value}", chosen


def bound_check(name: str, value: float, low: float | None, high: float | None) -> QualityCheck:
    """Return the check of a figure against a lower or an upper bound."""
    bound = f"at least {low:g}" if low is not None else f"at most {high:g}"
    passed = (low is None or value >= low) and (high is None or value <= high)
    return QualityCheck(name, f"{value:.4f}", bound, passed, value)
