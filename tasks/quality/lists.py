"""What published lists are like beside those of the release before: breadth, popularity, change.

Both tables are looked at with tonight's catalogue and tonight's popularity, so that only the lists differ.
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
from tasks.quality.checks import QualityCheck, not_judged
from tasks.recommendations.serving import ACTIVITY, segment_places

if TYPE_CHECKING:
    from tasks.configuration.model_sections import QualitySection
    from tasks.release.releases import Release

Ints = npt.NDArray[np.int32]
ROWS: Final = 1_000_000  # read at a time


@dataclass(frozen=True)
class Lists:
    """The first places of a table of recommendations: users, and items int32 (n_users, k), -1 unknown."""

    users: pa.Array
    items: Ints


@dataclass(frozen=True)
class Catalogue:
    """Tonight's items: ids, whether they may be listed, how many users had them; and the number of users."""

    ids: pa.Array
    available: npt.NDArray[np.bool_]
    popularity: npt.NDArray[np.int64]
    n_users: int


@dataclass(frozen=True)
class Breadth:
    """Figures of all lists together; their docstrings are in models/evaluation/beyond_accuracy.py."""

    coverage: float
    gini: float
    head_share: float
    novelty: float


def read_lists(path: Path, items: pa.Array, k: int) -> Lists:
    """Return the first `k` places of a table sorted by user and rank; `items` are numbered in their order."""
    users: list[pa.Array] = []
    columns: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    before, last = 0, None
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["user_id", "rank", "item_id"]):
            owners, ranks = batch["user_id"], batch["rank"].to_numpy()
            changed = np.ones(len(batch), np.bool_)
            changed[1:] = pc.not_equal(owners[1:], owners[:-1]).to_numpy(zero_copy_only=False)
            changed[0] = last is None or owners[0].as_py() != last
            number = before + np.cumsum(changed) - 1
            first = ranks <= k
            places = pc.fill_null(pc.index_in(batch["item_id"], items), -1).to_numpy()
            columns.append((number[first], ranks[first].astype(np.int64), places[first].astype(np.int64)))
            users.append(owners.filter(pa.array(changed)))
            before, last = int(number[-1]) + 1, owners[-1].as_py()
    if not columns:
        return Lists(pa.array([], pa.string()), np.zeros((0, k), np.int32))
    number, ranks, places = (np.concatenate(part) for part in zip(*columns, strict=True))
    found = np.full((before, int(ranks.max())), -1, np.int32)
    found[number, ranks - 1] = places
    return Lists(pa.concat_arrays(users), found)


def breadth(lists: Lists, catalogue: Catalogue) -> Breadth:
    """Return what the lists show of the catalogue."""
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
    """Yield the checks of tonight's recommendations, alone and beside those of the release `before`."""
    settings = configuration.quality
    items, users = read(dataset, "items", ["item_id", "available", "users"]), read(dataset, "users")
    catalogue = Catalogue(
        items["item_id"].combine_chunks(),
        items["available"].to_numpy(),
        items["users"].to_numpy(),
        len(users),
    )
    k = min(settings.k, configuration.top_n.n)
    ours, theirs = read_lists(staging / "recommendations.parquet", catalogue.ids, k), None
    if before is not None:
        theirs = _of_before(before, catalogue.ids, k)
    if theirs is None:
        yield from _alone(settings, breadth(ours, catalogue))
        why = "no release of an earlier date" if before is None else "its ids are of another type"
        yield not_judged("lists beside the last release's", f"nothing to compare with: {why}")
        return
    k = min(ours.items.shape[1], theirs.items.shape[1])
    ours, theirs = Lists(ours.users, ours.items[:, :k]), Lists(theirs.users, theirs.items[:, :k])
    tonight, last = breadth(ours, catalogue), breadth(theirs, catalogue)
    yield from _alone(settings, tonight)
    both = int(pc.sum(pc.is_in(ours.users, theirs.users)).as_py() or 0)
    if both < settings.min_users:  # of so few, other lists say little
        said = f"{both} users in both, fewer than {settings.min_users}"
        yield not_judged("lists beside the last release's", said)
        return
    yield from _beside(settings, tonight, last)
    yield from _churn(settings, dataset, ours, theirs)


def _of_before(before: Release, items: pa.Array, k: int) -> Lists | None:
    """Return the lists of a release, None where its ids are of another type or it lists nothing known."""
    path = before.table("recommendations")
    if pq.read_schema(path).field("item_id").type != items.type:
        return None
    found = read_lists(path, items, k)
    return found if (found.items >= 0).any() else None


def _alone(settings: QualitySection, found: Breadth) -> Iterator[QualityCheck]:
    """Yield the checks against the configured bounds."""
    for name, value, low, high in (
        ("coverage", found.coverage, settings.min_coverage, None),
        ("gini", found.gini, None, settings.max_gini),
        ("head share", found.head_share, None, settings.max_head_share),
        ("novelty", found.novelty, settings.min_novelty, None),
    ):
        yield _bounded(name, value, low, high)


def _beside(settings: QualitySection, tonight: Breadth, last: Breadth) -> Iterator[QualityCheck]:
    """Yield the checks against the lists of the release before."""
    for name, ours, theirs, least in (
        ("coverage", tonight.coverage, last.coverage, settings.min_coverage_ratio),
        ("evenness, 1 - gini,", 1 - tonight.gini, 1 - last.gini, settings.min_evenness_ratio),
        ("novelty", tonight.novelty, last.novelty, settings.min_novelty_ratio),
    ):
        ratio = ours / theirs if theirs > 0 else 1.0
        said = f"{ratio:.3f} ({ours:.4f} after {theirs:.4f})"
        yield QualityCheck(f"{name} over the last", said, f"at least {least:g}", ratio >= least, ratio)
    rise, most = tonight.head_share - last.head_share, settings.max_head_share_rise
    said = f"{rise:+.4f} ({tonight.head_share:.4f} after {last.head_share:.4f})"
    yield QualityCheck("head share, rise", said, f"at most {most:g}", rise <= most, rise)


def _churn(settings: QualitySection, dataset: Path, ours: Lists, theirs: Lists) -> Iterator[QualityCheck]:
    """Yield how the lists of users who are in both tables changed, all together and by segment."""
    from models.evaluation.overlap import agreements, rank_biased_overlap

    at = np.asarray(pc.fill_null(pc.index_in(ours.users, theirs.users), -1).to_numpy())
    both = np.flatnonzero(at >= 0)
    shared = agreements(ours.items[both], theirs.items[at[both]])
    overlaps, changed = rank_biased_overlap(shared, settings.rbo_p), 1 - shared[:, -1] / shared.shape[1]
    k, users = shared.shape[1], ours.users.take(pa.array(both))
    for name, chosen in (("all users", np.ones(len(both), np.bool_)), *_segments(settings, dataset, users)):
        mean, count = float(overlaps[chosen].mean()) if chosen.any() else 1.0, int(chosen.sum())
        check = f"overlap (RBO, p {settings.rbo_p:g}) @{k}, {name}"
        if count < settings.min_users:
            said = f"{count} users, fewer than {settings.min_users}"
            yield not_judged(check, said)
        else:
            low = settings.min_rbo
            yield QualityCheck(check, f"{mean:.4f}, {count} users", f"at least {low:g}", mean >= low, mean)
    for name, share, most in (
        (
            f"lists with more than {settings.mostly:.0%} new",
            changed > settings.mostly,
            settings.max_mostly_changed,
        ),
        ("lists all new", changed == 1, settings.max_entirely_changed),
    ):
        yield _bounded(f"{name} @{k}, share of users", float(share.mean()), None, most)


def _segments(
    settings: QualitySection, dataset: Path, users: pa.Array
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield the segments of users: by the items of their history, and by the configured attributes."""
    from models.activity import ACTIVITY as NAMES

    known = read(dataset, "users", ["user_id", "items"])
    at = np.asarray(pc.fill_null(pc.index_in(users, known["user_id"].combine_chunks()), -1).to_numpy())
    lengths = known["items"].to_numpy()
    attributes = read(dataset, "user_attributes", ["name", "value"])
    for by in (ACTIVITY, *settings.segments):
        values: list[str] = list(NAMES)
        if by != ACTIVITY:
            values = sorted(set(attributes.filter(pc.equal(attributes["name"], by))["value"].to_pylist()))
        places = np.where(at >= 0, segment_places(by, values, dataset, lengths)[at], -1)
        for place, value in enumerate(values):
            chosen = places == place
            if chosen.any():
                yield value if by == ACTIVITY else f"{by} {value}", chosen


def _bounded(name: str, value: float, low: float | None, high: float | None) -> QualityCheck:
    bound = f"at least {low:g}" if low is not None else f"at most {high:g}"
    passed = (low is None or value >= low) and (high is None or value <= high)
    return QualityCheck(name, f"{value:.4f}", bound, passed, value)
