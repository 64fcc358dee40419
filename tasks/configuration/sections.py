"""The sections of the configuration about data and lists, a class each, with keys, defaults and limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sql.reading import Reading, Section
from sql.source import NAME
from tasks.configuration.file import DEFAULT_STORE
from tasks.release.windows import canonical, hours_of

SIZES = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
CatchUp = Literal["all", "last", "none"]
EngineName = Literal["duckdb", "spark"]
LEAST_MEMORY: dict[EngineName, str] = {"duckdb": "256MiB", "spark": "1GiB"}
"""The least memory with which an engine can keep to its budget."""


def bytes_of(size: str) -> int:
    """Return the bytes of a size such as 512MiB; ValueError if it is malformed."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(MiB|GiB|TiB)", size)
    if match is None or float(match.group(1)) == 0:
        raise ValueError(f"expected a size such as 512MiB or 4GiB, got {size!r:.100}")
    return int(float(match.group(1)) * SIZES[match.group(2)])


class StoreSection(Section):
    """[store]: where data is kept, and for how long."""

    path: Path = Field(Path(DEFAULT_STORE), description="The store's folder; relative to this file.")
    keep_releases: int = Field(
        7, ge=2, description="Releases kept; the current and the previous one always are."
    )
    reader_minutes: float = Field(
        60,
        ge=0,
        description="How long a formerly current release is kept, since readers may still use it.",
    )
    keep_runs: int = Field(3, ge=1, description="Working folders of runs kept, to resume or inspect them.")
    expires_after_hours: float = Field(48, gt=0, description="After this, `status` calls a release stale.")


class EngineSection(Section):
    """[engine]: the SQL engine, and the resources of the whole run."""

    name: EngineName = Field("duckdb", description="duckdb (embedded) or spark.")
    memory: str = Field("4GiB", description="Memory budget of a run, for example 512MiB or 4GiB.")
    threads: int = Field(0, ge=0, le=1024, description="Worker threads; 0 uses all cores.")
    batch: str = Field("1GiB", description="Raw logs ingested at a time; bounds the scratch space.")
    spark_master: str = Field("local", description="Spark's master; local runs it in this process.")
    spark_settings: dict[str, str] = Field({}, description="Further Spark properties.")

    @field_validator("memory", "batch")
    @classmethod
    def _size(cls, value: str) -> str:
        bytes_of(value)
        return value

    @model_validator(mode="after")
    def _enough(self) -> EngineSection:
        least = LEAST_MEMORY[self.name]
        if bytes_of(self.memory) < bytes_of(least):
            raise ValueError(f"memory: expected at least {least} for {self.name}, got {self.memory}")
        return self


class Catalogue(Reading):
    """[users]: attributes, from files or from the events themselves."""

    path: str | tuple[str, ...] | None = Field(
        None,
        description="The catalogue's file, folder, glob or address, or several; without it, attributes come "
        "from events.",
    )
    id: str | None = Field(
        None, description="Column with the id; its last row counts, by file name and line."
    )
    attributes: dict[str, str] = Field({}, description="Attributes: name -> column (or event attribute).")
    separator: str | None = Field(
        None, description="Separator of several values in one attribute, such as |; JSON lists need none."
    )

    @model_validator(mode="after")
    def _complete(self) -> Catalogue:
        for name in self.attributes:
            if not NAME.fullmatch(name):
                raise ValueError(f"attribute {name!r}: expected a name of a-z, 0-9 and _")
        if self.path is not None and not all(
            (self.path,) if isinstance(self.path, str) else self.path or ("",)
        ):
            raise ValueError("path: expected a file, folder, glob or address, got nothing")
        if self.path is not None and self.id is None:
            raise ValueError("path needs id = the column with the id")
        if self.path is None and (needless := [name for name in self.of_a_file if getattr(self, name)]):
            raise ValueError(f"{', '.join(needless)}: expected path = the catalogue's file, too")
        return self

    of_a_file: ClassVar[tuple[str, ...]] = ("id",)


class ItemCatalogue(Catalogue):
    """[items]: titles, attributes and availability, from files or from the events themselves."""

    title: str | None = Field(None, description="Column (or event attribute) with the item's title.")
    available: str | None = Field(
        None, description="Column that is false (or a number up to 0) for items never to recommend."
    )
    only: bool = Field(False, description="Recommend only items that the catalogue's file has.")

    of_a_file: ClassVar[tuple[str, ...]] = ("id", "available", "only")


class GateSection(Section):
    """[gate]: conditions on the interactions before anything is trained."""

    min_events: int = Field(1, ge=1, description="Least number of events up to as_of.")
    min_users: int = Field(2, ge=1, description="Least number of users.")
    min_items: int = Field(2, ge=1, description="Least number of items.")
    max_quarantined_share: float = Field(0.2, ge=0, le=1, description="Largest share of quarantined rows.")
    max_duplicate_share: float = Field(0.5, ge=0, le=1, description="Largest share of exact duplicates.")
    max_null_share: dict[str, float] = Field({}, description="Largest share of nulls, by column.")
    min_value: float | None = Field(None, description="Smallest value (rating).")
    max_value: float | None = Field(None, description="Largest value (rating).")
    require_events_on_as_of: bool = Field(True, description="Whether there must be events on as_of itself.")
    volume_days: int = Field(
        7, ge=1, description="Earlier days whose median volume the date is compared with."
    )
    min_volume_ratio: float = Field(
        0.05, ge=0, description="Least ratio of the date's volume to that median."
    )
    max_volume_ratio: float = Field(
        20.0, gt=0, description="Largest ratio of the date's volume to that median."
    )


class DatasetSection(Section):
    """[dataset]: how interactions become confidence weights."""

    positive: str | None = Field(None, description="Predicate for events that count, such as value >= 4.")
    alpha: float = Field(1.0, gt=0, description="The weight is 1 + alpha * ln(1 + strength).")
    half_life_days: float | None = Field(None, gt=0, description="Age at which an event counts half.")
    min_user_items: int = Field(1, ge=1, description="Users with fewer distinct items are not trained on.")
    min_item_users: int = Field(1, ge=1, description="Items with fewer distinct users are not trained on.")
    max_user_events: int = Field(
        100_000,
        ge=1,
        description="Users with more events count as bots: excluded from training and popularity.",
    )
    history_days: int | None = Field(
        None,
        ge=1,
        description="Only events of the last N days are learned from. Items seen before stay seen, and users "
        "known before stay known.",
    )


class TopNSection(Section):
    """[top_n]: the lists of recommendations and similar items."""

    n: int = Field(
        20, ge=1, le=10_000, description="Recommendations for every user; all items if there are fewer."
    )
    similar: int = Field(20, ge=1, le=10_000, description="Similar items for every item.")
    repeats: bool = Field(False, description="Whether items of the user's history can be recommended.")
    repeat_after_days: int | None = Field(
        None,
        ge=1,
        description="Without repeats: after so many days since the user's last event with an item, it can be "
        "recommended again.",
    )
    shortage: Literal["repeat", "fail"] = Field(
        "repeat",
        description="Too few unseen items: repeat seen items (marked in source), and shorten all lists "
        "if even these are too few; or fail.",
    )
    blocked_items: tuple[str | int, ...] = Field((), description="Items that are never recommended.")
    memory: str = Field(
        "1GiB", description="Memory for blocks of scores and lists; at most a quarter of engine.memory."
    )

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str) -> str:
        bytes_of(value)
        return value


class PopularSection(Section):
    """[popular]: the popularity tables and the fallback ladder."""

    n: int = Field(100, ge=1, le=10_000, description="Items in each list.")
    windows: tuple[int | str, ...] = Field(
        (1, 7, 30, 0), description='Windows: a number of days, hours such as "6h", or 0 for all time.'
    )
    segments: tuple[str, ...] = Field((), description="Attributes of users or items that get separate lists.")
    fallback_window: int | str = Field(
        30, description="The window that fills lists which the model leaves short."
    )
    fallback_segment: str | None = Field(
        None, description="User attribute whose list is tried before the global list."
    )

    @field_validator("windows", mode="before")
    @classmethod
    def _different(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        windows = tuple(canonical(window) for window in value)
        if not windows or len(set(windows)) != len(windows):
            raise ValueError(f"expected different windows ('24h' is 1 day), got {list(value)!r:.200}")
        return windows

    @field_validator("fallback_window", mode="before")
    @classmethod
    def _window(cls, value: object) -> int | str:
        return canonical(value)

    @property
    def window_hours(self) -> tuple[int, ...]:
        """The hours of the windows; 0 is all time."""
        return tuple(hours_of(window) for window in self.windows)

    @property
    def fallback_hours(self) -> int:
        """The hours of the fallback window; 0 is all time."""
        return hours_of(self.fallback_window)

    @model_validator(mode="after")
    def _fallback(self) -> PopularSection:
        if self.fallback_window not in self.windows:
            raise ValueError(
                f"fallback_window: expected one of windows {self.windows}, got {self.fallback_window}"
            )
        if self.fallback_segment is not None and self.fallback_segment not in self.segments:
            raise ValueError(f"fallback_segment: expected one of segments, got {self.fallback_segment!r}")
        return self


class ReportSection(Section):
    """[report]: the pages about each run."""

    enabled: bool = Field(
        True, description="Whether a run writes HTML pages: its report, and the Data Docs of its validation."
    )
    sample_users: int = Field(
        3,
        ge=0,
        le=50,
        description="Users shown with id, history and list; 0 keeps all users out of the report and Prefect.",
    )


class ScheduleSection(Section):
    """[schedule]: what scheduled nights do about dates that were missed, such as after downtime."""

    catch_up: CatchUp = Field(
        "none",
        description="all: a night first makes the missing dates before its own, oldest first. last: a night "
        "that starts late makes its date only if that is still yesterday. none: each makes its own date.",
    )
