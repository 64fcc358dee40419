"""The tables of a release for those who read them from Python."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.release import query as questions
from tasks.release.pointer import read_pointer
from tasks.release.releases import Release, current, open_release, release_of, releases
from tasks.release.tables import GLOBAL_SEGMENT, popular_source
from tasks.runtime.errors import DamagedError, StoreError, UserError
from tasks.store.layout import Store
from tasks.store.names import checked_date, is_release_id


@dataclass(frozen=True, repr=False)
class Shelf:
    """One release of a store, for readers; ``open`` makes it.

    The pointer to the current release is followed once, by ``open``, so that all answers are from
    one release whatever is published meanwhile; ``refresh`` follows it again. A release that
    readers were led away from is kept for `[store] reader_minutes`. Answers are Arrow tables;
    ``to_pandas()`` makes frames of them.

    Examples
    --------
    >>> import nightshelf as ns
    >>> ns.open("nightshelf-store")
    Shelf('2026-01-02-r1')
    """

    store: Store
    release: Release

    def __repr__(self) -> str:
        return f"Shelf({self.release_id!r})"

    @property
    def release_id(self) -> str:
        """The id of the release that is read.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").release_id
        '2026-01-02-r1'
        """
        return self.release.release_id

    def table(self, name: str) -> pa.Table:
        """Return one of the tables of docs/tables.md whole.

        Raises
        ------
        UserError
            When there is no such table, or its file is damaged or gone.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").table("recommendations").num_rows
        12
        """
        path = self.release.table(name)
        try:
            return pq.read_table(path, page_checksum_verification=True, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read {path}: {error}; refresh() opens the current release") from error

    def user(self, user_id: int | str) -> pa.Table:
        """Return the recommendations of a user with titles, by rank; for an unknown one, what is popular.

        An app shows the rows as they are: the columns are the same either way, the rows no more
        than a known user has, and ``source`` says where each comes from.

        Raises
        ------
        UserError
            When the id is not of the type of this store's ids.

        Examples
        --------
        >>> import nightshelf as ns
        >>> shelf = ns.open("nightshelf-store")
        >>> shelf.user(10).select(["user_id", "rank", "item_id", "source"]).to_pylist()[0]
        {'user_id': 10, 'rank': 1, 'item_id': 102, 'source': 'als'}
        >>> shelf.user(99).select(["user_id", "rank", "item_id", "source"]).to_pylist()[0]
        {'user_id': 99, 'rank': 1, 'item_id': 105, 'source': 'popular_7_days'}
        """
        with self._reading():
            rows = questions.recommendations_of(self.store, user_id, self.release_id)
            if rows.num_rows:
                return rows
            longest = self.query("SELECT max(rank) AS n FROM recommendations")["n"][0].as_py() or 0
            popular = questions.fallback_items(self.store, self.release_id)
        return _as_recommendations(popular.slice(0, longest), user_id, rows.schema)

    def similar(self, item_id: int | str) -> pa.Table:
        """Return the items similar to an item with titles, by rank; no rows where there are none.

        Raises
        ------
        UserError
            When the id is not of the type of this store's ids.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").similar(100)["similar_item_id"].to_pylist()
        [101, 102]
        """
        with self._reading():
            return questions.similar_to(self.store, item_id, self.release_id)

    def popular(
        self, segment: str = GLOBAL_SEGMENT, value: str | None = None, window_days: float | None = None
    ) -> pa.Table:
        """Return the popular items of a segment with titles, by value, window and rank; all unless given.

        ``window_days`` is the number of days of a window: 0 for all time, 0.25 for 6 hours, 5 / 24
        for 5 hours. A value of which nothing is popular has no rows.

        Raises
        ------
        UserError
            When there is no such segment or window; the message lists them.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").popular("country", "DE", window_days=7)["item_id"].to_pylist()
        [101]
        """
        self._check_popular(segment, value, window_days)
        with self._reading():
            return questions.popular(self.store, segment, value, window_days, self.release_id)

    def query(self, sql: str) -> pa.Table:
        """Answer one SELECT on the tables and views of the release.

        Raises
        ------
        UserError
            When it is anything else, or DuckDB cannot answer it.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").query("SELECT count(*) AS n FROM items").to_pylist()
        [{'n': 8}]
        """
        if not isinstance(sql, str):
            raise UserError(f"expected one SELECT statement, got {sql!r:.100}")
        with self._reading():
            return questions.query(self.store, sql, self.release_id)

    def releases(self) -> list[Release]:
        """Return every release of the store, the latest published first; damaged ones with their problem.

        Examples
        --------
        >>> import nightshelf as ns
        >>> [release.release_id for release in ns.open("nightshelf-store").releases()]
        ['2026-01-02-r1', '2026-01-01-r1']
        """
        return releases(self.store)

    def at(self, when: dt.date | str) -> Shelf:
        """Return the shelf of another release: by its id, or the last that was published of a date.

        Raises
        ------
        UserError
            When there is none.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").at("2026-01-01")
        Shelf('2026-01-01-r1')
        """
        if isinstance(when, str) and is_release_id(when):
            return Shelf(self.store, open_release(self.store, when))
        date = checked_date(when)
        if release := release_of(self.store, date):
            return Shelf(self.store, release)
        known = ", ".join(release.release_id for release in releases(self.store)) or "none"
        raise StoreError(f"no release of {date} in {self.store.root}; known: {known}")

    def refresh(self) -> Shelf:
        """Return the shelf of the release that is current now.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ns.open("nightshelf-store").at("2026-01-01").refresh()
        Shelf('2026-01-02-r1')
        """
        return Shelf(self.store, _current(self.store))

    def _check_popular(self, segment: object, value: object, window_days: object) -> None:
        """Raise a UserError for a segment or window that the release does not have."""
        if value is not None and not isinstance(value, str):
            raise UserError(f"expected a value of {segment} as text, got {value!r:.100}")
        pairs = self.query("SELECT DISTINCT segment, window_days FROM popular_items ORDER BY ALL").to_pylist()
        segments = list(dict.fromkeys(pair["segment"] for pair in pairs))
        if not isinstance(segment, str) or (segments and segment not in segments):
            raise UserError(f"unknown segment {segment!r:.100}; known: {', '.join(segments)}")
        windows = [pair["window_days"] for pair in pairs if pair["segment"] == segment]
        if window_days is not None and (isinstance(window_days, bool) or window_days not in windows):
            known = ", ".join(str(days).removesuffix(".0") for days in windows)
            raise UserError(f"unknown window_days {window_days!r:.100}; known: {known}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise a StoreError that says what to do if the release is gone."""
        try:
            yield
        except UserError as error:
            if self.release.folder.is_dir():
                raise
            raise StoreError(
                f"release {self.release_id} is gone; refresh() opens the current release"
            ) from error


def open_shelf(store: Path | str) -> Shelf:
    """Open a store for reading, at its current release; a store is a folder, `[store] path`.

    Raises
    ------
    UserError
        When there is no such folder, nothing is published in it, or it is damaged.

    Examples
    --------
    >>> import nightshelf as ns
    >>> ns.open("nightshelf-store").table("recommendations").column_names
    ['user_id', 'rank', 'item_id', 'score', 'source', 'reason_item_id']
    """
    if not isinstance(store, str | Path):
        raise StoreError(f"expected the folder of a store, got {store!r:.100}")
    if "\0" in str(store) or not Path(store).is_dir():
        raise StoreError(f"no store in {store}: no such folder".replace("\0", "\\0"))
    opened = Store(Path(store))
    return Shelf(opened, _current(opened))


def _current(store: Store) -> Release:
    """Return the current release; StoreError if the store is gone or its pointer leads nowhere."""
    if not store.root.is_dir():
        raise StoreError(f"no store in {store.root}: no such folder")
    pointer = read_pointer(store)
    if pointer is not None and not store.release(pointer.release_id).is_dir():
        known = ", ".join(release.release_id for release in releases(store)) or "none"
        raise DamagedError(
            f"the store {store.root} is damaged: its pointer leads to the release {pointer.release_id}, "
            f"which is missing; at(release_id) opens, and a rollback makes current, one of: {known}"
        )
    return current(store)


def _as_recommendations(popular: pa.Table, user_id: int | str, schema: pa.Schema) -> pa.Table:
    """Return rows of popular items as recommendations of one user, for no reason but their window."""
    count = popular.num_rows
    source = popular_source(popular["window_days"][0].as_py()) if count else ""
    columns = {
        "user_id": pa.array([user_id] * count),
        "source": pa.array([source] * count),
        **{name: popular[name] for name in ("rank", "item_id", "title", "score")},
    }
    filled = [columns.get(field.name, pa.nulls(count)).cast(field.type) for field in schema]
    return pa.table(filled, schema=schema)
