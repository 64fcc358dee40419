"""Models by name that take frames and give frames, with the ids of their source."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models import registry
from models.base import HasSimilarItems, ModelConfig
from models.errors import ModelError
from models.frames.ids import Ids, encoded
from models.frames.source import column_of, frame_of
from models.interactions import Interactions
from models.options import TrainingOptions
from models.ranking.topn import TopN
from models.trained import Trained

Longs = npt.NDArray[np.int64]


class UnknownItemsWarning(UserWarning):
    """Some events were with items that the model was not trained on; the message counts them."""


class Estimator:
    """A model of a name with settings: ``fit`` it, then ask it for recommendations and similar items.

    ``name`` and ``config`` say what it is. It is made by ``create`` or ``load``.

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
        """What the training had to say (seconds, losses, device); ModelError before it.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> sorted(ns.create("als", factors=4).fit(data).report)
        ['loss', 'seconds']
        """
        return self._fitted().model.report

    def fit(self, data: Interactions, options: TrainingOptions | None = None) -> Self:
        """Train on interactions, anew each time; the same data, settings and seed give the same model.

        Raises
        ------
        ModelError
            When the model asks for what the data lack, such as times.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> ns.create("als", factors=4).fit(data, ns.TrainingOptions(seed=1, threads=1))
        Estimator('als', factors=4)
        """
        model = registry.create(self.name, self.config).fit(_checked(data).dataset, options)
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
        """Return the ``k`` best items of every user in ``data``, by their history there, as a frame.

        The users need not have been trained on. The frame is of the kind that ``data`` came in, with columns
        user_id, rank (1 is the best), item_id and score, sorted by user_id and rank; ids have the type of
        their source. ``users`` restricts it to some. Items of the history are left out unless ``seen``.

        Events with items that the model was not trained on are ignored, which an UnknownItemsWarning counts.
        A user without any other has no rows, and a list is short only where no more items are eligible.

        Raises
        ------
        ModelError
            When the model is not fitted, a user is not in ``data``, or ids are of another kind than trained.

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
        trained, data = self._fitted(), _checked(data)
        rows = np.arange(data.shape[0]) if users is None else _rows(data.user_ids, users, "users of the data")
        known = data.with_items(trained.items)
        self._warn_of_unknown(data, known, rows)
        top = trained.model.recommend(
            known.histories.rows(rows),
            min(_positive(k), trained.model.n_items),
            exclude=None if seen else known.seen[rows],
            threads=threads,
        )
        asked, ranks, items, scores = _flat(top)
        columns = {"user_id": data.user_ids.take(rows[asked]), "rank": ranks}
        columns |= {"item_id": trained.items.take(items), "score": scores}
        return data.frame(pa.table(columns), {"user_id": data.user_ids.form, "item_id": trained.items.form})

    def similar_items(self, k: int = 10, *, items: Iterable[Any] | None = None) -> Any:
        """Return the ``k`` items most similar to each item, or to each of ``items``, as a frame.

        The frame is of the kind that the model was trained from, with columns item_id, rank, similar_item_id
        and score, sorted by item_id and rank.

        Raises
        ------
        ModelError
            When the model is not fitted or knows nothing of similarity, or an item was not trained on.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "b", "c"]})
        >>> ns.create("item_knn").fit(data).similar_items(k=1, items=["a"]).to_pydict()["similar_item_id"]
        ['b']
        """
        trained = self._fitted()
        if not isinstance(trained.model, HasSimilarItems):
            raise ModelError(f"expected a model that has similar items, such as als, got {self.name}")
        chosen = np.arange(trained.model.n_items)
        if items is not None:
            chosen = _rows(trained.items, items, "items of the training data")
        top = trained.model.similar_items(chosen, min(_positive(k), trained.model.n_items))
        asked, ranks, similar, scores = _flat(top)
        columns = {"item_id": trained.items.take(chosen[asked]), "rank": ranks}
        columns |= {"similar_item_id": trained.items.take(similar), "score": scores}
        forms = dict.fromkeys(("item_id", "similar_item_id"), trained.items.form)
        return frame_of(trained.kind, pa.table(columns), forms)

    def save(self, folder: Path | str) -> Path:
        """Write the model and the ids of its items into a folder (made when missing) and return it.

        Examples
        --------
        >>> import nightshelf as ns
        >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
        >>> ns.load(ns.create("popularity").fit(data).save("my-model")).recommend(data, k=1).num_rows
        1
        """
        self._fitted().save(Path(folder))
        return Path(folder)

    def _fitted(self) -> Trained:
        if self._trained is None:
            raise ModelError(f"model {self.name} is not fitted: call fit or load first")
        return self._trained

    def _warn_of_unknown(self, data: Interactions, known: Interactions, rows: Longs) -> None:
        """Warn of events with items that the model was not trained on, of the users in ``rows``."""
        before = np.bincount(data.users, minlength=data.shape[0])[rows]
        after = np.bincount(known.users, minlength=data.shape[0])[rows]
        ignored = int(before.sum() - after.sum())
        if ignored:
            text = f"{ignored} of {before.sum()} events are with items that {self.name} was not trained on"
            text += f"; {(after == 0).sum()} of {len(rows)} users have no others and get no list"
            warnings.warn(text, UnknownItemsWarning, stacklevel=3)


def create(name: str, **settings: Any) -> Estimator:
    """Return a new model of that name with these settings; docs/configuration.md lists them.

    Raises
    ------
    ModelError
        When the name is not known, or the model does not take a setting or its value.

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
    if not registry.is_known(name):
        raise ModelError(f"unknown model {name!r:.100}; known: {', '.join(registry.known())}")
    return Estimator(name, registry.config(name, settings))


def save(model: Estimator, folder: Path | str) -> Path:
    """Write a fitted model into a folder (made when missing) and return it; as ``Estimator.save``.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
    >>> ns.save(ns.create("popularity").fit(data), "my-model").name
    'my-model'
    """
    return model.save(folder)


def load(folder: Path | str) -> Estimator:
    """Return the model that was saved in a folder, ready to recommend.

    Raises
    ------
    ModelError
        When a file is missing, or is not as it was written. Nothing is unpickled or executed.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": [1, 1, 2], "item": [5, 6, 5]})
    >>> ns.load(ns.create("popularity").fit(data).save("my-model"))
    Estimator('popularity')
    """
    trained = Trained.load(Path(folder))
    return Estimator(trained.model.name, trained.model.config, trained)


def _checked(data: Interactions) -> Interactions:
    if not isinstance(data, Interactions):
        raise ModelError(f"expected Interactions (Interactions.of makes them), got {type(data).__name__}")
    return data


def _positive(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ModelError(f"expected k as a whole number of 1 or more, got {k!r:.100}")
    return int(k)


def _rows(ids: Ids, wanted: Iterable[Any], what: str) -> Longs:
    """Return the numbers of some ids, ascending, each once; ModelError for one that is not there."""
    column = column_of(what, wanted)
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    asked, _ = encoded(column)
    codes = ids.codes(asked, what)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        first = asked.values[int(missing[0])].as_py()
        raise ModelError(f"expected {what}, got {len(missing)} others, such as {first!r:.100}")
    return np.sort(codes)


def _flat(top: TopN) -> tuple[Longs, npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the places of lists that hold an item: row, rank from 1, item and score, (n_places,) each."""
    rows, places = np.nonzero(top.items >= 0)
    ranks = (places + 1).astype(np.int32)
    return rows, ranks, top.items[rows, places], top.scores[rows, places]
