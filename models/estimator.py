"""Models by name, with frames in and out and the ids of the source."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models import registry
from models.abilities import HasSimilarItems
from models.base import ModelConfig
from models.errors import ModelError
from models.frames.ids import Ids, encode_ids
from models.frames.source import to_column, to_frame
from models.interactions import Interactions, checked_interactions
from models.options import TrainingOptions, checked_options, checked_threads
from models.ranking.topn import TopN
from models.trained import Trained, checked_folder

Longs = npt.NDArray[np.int64]


class UnknownItemsWarning(UserWarning):
    """Some events have items that the model was not trained on; the message counts them."""


class Estimator:
    """A model with its settings, to ``fit`` and then ask for recommendations and similar items.

    Created by ``create`` or ``load``; ``name`` and ``config`` describe it.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "c", "a"]})
    >>> model = ns.create("item_knn").fit(data)
    >>> model.recommend(data, k=1).to_pydict()["item_id"]
    ['c', 'b', 'b']
    """

    def __init__(self, name: str, config: ModelConfig, trained: Trained | None = None) -> None:
        self.name = name
        self.config = config
        self._trained = trained

    def __repr__(self) -> str:
        changed = self.config.model_dump(exclude_defaults=True)
        settings = "".join(f", {key}={value!r}" for key, value in changed.items())
        return f"Estimator({self.name!r}{settings}){'' if self._trained else ', not fitted'}"

    @property
    def report(self) -> dict[str, Any]:
        """Figures of the training (seconds, losses, device); ModelError if not fitted.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> sorted(ns.create("als", factors=4).fit(data).report)
        ['half_life_days', 'loss', 'seconds']
        """
        return self._fitted().model.report

    def fit(self, data: Interactions, options: TrainingOptions | None = None) -> Self:
        """Train on interactions from scratch; equal data, settings and seed give the same model.

        Raises
        ------
        ModelError
            When the data lack something the model needs, such as times, or an argument has another
            type.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> ns.create("als", factors=4).fit(data, ns.TrainingOptions(seed=1, threads=1))
        Estimator('als', factors=4)
        """
        options = checked_options(options)
        with registry.naming_the_package(self.name):
            model = registry.create(self.name, self.config).fit(checked_interactions(data).dataset, options)
        self._trained = Trained(model, data.item_ids, data.kind)
        return self

    def recommend(
        self,
        data: Interactions,
        k: int = 10,
        *,
        users: Iterable[Any] | None = None,
        seen: bool = False,
        threads: int = 0,
    ) -> Any:
        """Return the ``k`` best items for every user in ``data``, by their history, as a frame.

        The users need not be training users. The frame has the kind of the one behind ``data``,
        with the columns user_id, rank (1 is best), item_id and score, sorted by user_id and rank.
        Ids have their original types. ``users`` restricts the result to some users. Items of the
        history are left out unless ``seen``.

        Events with items that the model was not trained on are ignored and counted in an
        UnknownItemsWarning. Users without other events have no rows. A list is short only if no
        more items are eligible.

        Raises
        ------
        ModelError
            When the model is not fitted, a user is not in ``data``, or the ids have another kind
            than in training.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": ["u", "u", "v"], "item": [5, 6, 5]})
        >>> model = ns.create("popularity").fit(data)
        >>> model.recommend(data, k=2).to_pylist()
        [{'user_id': 'v', 'rank': 1, 'item_id': 6, 'score': 1.0}]
        >>> model.recommend(data, k=2, users=["u"], seen=True).to_pydict()["item_id"]
        [5, 6]
        """
        trained, data = self._fitted(), checked_interactions(data)
        rows = np.arange(data.shape[0]) if users is None else _rows(data.user_ids, users, "users of the data")
        known = self._known(data, rows)
        with registry.naming_the_package(self.name):
            top = trained.model.recommend(
                known.histories.rows(rows),
                min(_positive(k), trained.model.n_items),
                exclude=None if _checked_seen(seen) else known.seen[rows],
                threads=checked_threads(threads),
            )
        lists, ranks, items, scores = _flatten(top)
        columns = {"user_id": data.user_ids.take(rows[lists]), "rank": ranks}
        columns |= {"item_id": trained.items.take(items), "score": scores}
        return data.frame(pa.table(columns), {"user_id": data.user_ids.form, "item_id": trained.items.form})

    def similar_items(self, k: int = 10, *, items: Iterable[Any] | None = None) -> Any:
        """Return the ``k`` items most similar to each item, or to each of ``items``, as a frame.

        The frame has the kind of the training data, with the columns item_id, rank, similar_item_id
        and score, sorted by item_id and rank.

        Raises
        ------
        ModelError
            When the model is not fitted or has no similar items, or an item was not trained on.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "b", "c"]})
        >>> ns.create("item_knn").fit(data).similar_items(k=1, items=["a"]).to_pydict()["similar_item_id"]
        ['b']
        """
        trained = self._fitted()
        if not isinstance(trained.model, HasSimilarItems):
            raise ModelError(f"expected a model with similar items, such as als, got {self.name}")
        all_items = np.arange(trained.model.n_items)
        queried = all_items if items is None else _rows(trained.items, items, "items of the training data")
        top = trained.model.similar_items(queried, min(_positive(k), trained.model.n_items))
        lists, ranks, similar, scores = _flatten(top)
        columns = {"item_id": trained.items.take(queried[lists]), "rank": ranks}
        columns |= {"similar_item_id": trained.items.take(similar), "score": scores}
        forms = dict.fromkeys(("item_id", "similar_item_id"), trained.items.form)
        return to_frame(trained.kind, pa.table(columns), forms)

    def save(self, folder: Path | str) -> Path:
        """Write the model and the ids of its items to a folder, and return the folder.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> ns.load(ns.create("popularity").fit(data).save("my-model")).recommend(data, k=1).num_rows
        1
        """
        path = checked_folder(folder)
        with registry.naming_the_package(self.name):
            self._fitted().save(path)
        return path

    def _fitted(self) -> Trained:
        if self._trained is None:
            raise ModelError(f"model {self.name} is not fitted: call fit or load first")
        return self._trained

    def _known(self, data: Interactions, rows: Longs) -> Interactions:
        """Return the events of users ``rows`` with trained items; warn about other events."""
        if len(rows) < data.shape[0]:
            data = data.select(np.isin(np.arange(data.shape[0]), rows)[data.users])
        known = data.with_items(self._fitted().items)
        self._warn_about_unknown(data, known, rows)
        return known

    def _warn_about_unknown(self, data: Interactions, known: Interactions, rows: Longs) -> None:
        """Warn about events of the users ``rows`` with items that the model was not trained on."""
        before = np.bincount(data.users, minlength=data.shape[0])[rows]
        after = np.bincount(known.users, minlength=data.shape[0])[rows]
        ignored = int(before.sum() - after.sum())
        if ignored:
            text = f"{ignored} of {before.sum()} events have items that {self.name} was not trained on"
            text += f"; {(after == 0).sum()} of {len(rows)} users have no other events and get no list"
            warnings.warn(text, UnknownItemsWarning, stacklevel=4)


def create(name: str, /, **settings: Any) -> Estimator:
    """Return a new model with the given settings, which docs/configuration.md lists.

    Raises
    ------
    ModelError
        When the name or a setting is unknown, or a value is invalid.

    Examples
    --------
    >>> import nightshelf as ns
    >>> ns.create("als", factors=64)
    Estimator('als', factors=64), not fitted
    >>> ns.create("popularity", size=3)
    Traceback (most recent call last):
        ...
    models.errors.ModelError: unknown key 'size' in models.popularity; known: count
    """
    if not isinstance(name, str) or not registry.is_known(name):
        raise ModelError(f"unknown model {name!r:.100}; known: {', '.join(registry.known())}")
    return Estimator(name, registry.config(name, settings))


def save(model: Estimator, folder: Path | str) -> Path:
    """Write a fitted model to a folder and return the folder; the same as ``Estimator.save``.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
    >>> ns.save(ns.create("popularity").fit(data), "my-model").name
    'my-model'
    """
    if not isinstance(model, Estimator):
        raise ModelError(f"expected save(model, folder) with a model made by create, got {model!r:.100}")
    return model.save(folder)


def load(folder: Path | str) -> Estimator:
    """Return the model saved in a folder, ready to recommend.

    Raises
    ------
    ModelError
        When a file is missing or was changed. Nothing is unpickled or executed.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
    >>> ns.load(ns.create("popularity").fit(data).save("my-model"))
    Estimator('popularity')
    """
    trained = Trained.load(checked_folder(folder))
    return Estimator(trained.model.name, trained.model.config, trained)


def _positive(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ModelError(f"expected k as a whole number of at least 1, got {k!r:.100}")
    return int(k)


def _checked_seen(seen: bool) -> bool:
    if not isinstance(seen, bool | np.bool_):
        raise ModelError(f"expected seen as True or False, got {seen!r:.100}")
    return bool(seen)


def _rows(ids: Ids, selected: Iterable[Any], what: str) -> Longs:
    """Return the distinct indices of some ids, ascending; ModelError for unknown ids."""
    column = to_column(what, selected)
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    queried, _ = encode_ids(column)
    codes = ids.codes(queried, what)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        first = queried.values[int(missing[0])].as_py()
        raise ModelError(f"expected {what}, got {len(missing)} others, such as {first!r:.100}")
    return np.sort(codes)


def _flatten(
    top: TopN,
) -> tuple[Longs, npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return row, rank (from 1), item and score of all entries with an item, (n_entries,) each."""
    rows, columns = np.nonzero(top.items >= 0)
    ranks = (columns + 1).astype(np.int32)
    return rows, ranks, top.items[rows, columns], top.scores[rows, columns]
