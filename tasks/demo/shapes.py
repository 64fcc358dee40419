"""Seeded logs of other shapes than a shop's: news, groceries, music, few users, one huge item.

They have three columns (user_id, item_id, event_time) and no dirt: what differs is how fast the
catalogue turns over, how often people repeat, and how the events spread over users and items.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from tasks.demo.events import DAY_MS, HOURS
from tasks.runtime.errors import ConfigurationError

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
HOUR_MS = DAY_MS // 24
NICHES_PER_USER = np.array([0.45, 0.25, 0.14, 0.08, 0.05, 0.03])  # shares of a user's niches
SLOTS_PER_LIFE = 4  # the popularity of items is computed anew so often within an item's life
LEAST_SLOT = HOUR_MS // 6


@dataclass(frozen=True)
class Shape:
    """The size of a log, and what its users do.

    ``life_hours``: the typical time in which an item's share falls to 1/e, None for a catalogue
    that does not change; ``tail``: the exponent of the Pareto distribution of items' weights, small
    for a few huge items; ``loyalty``: the share of views in the user's own niches; ``repeats``: the
    share of events with an item that the user had before; ``head``: the share of all events that
    one item gets; ``change``: the share of the span after which every user has other niches, None
    for tastes that stay.
    """

    users: int
    items: int
    events: int
    days: int
    niches: int
    life_hours: float | None = None
    tail: float = 1.2
    loyalty: float = 0.8
    repeats: float = 0.0
    head: float = 0.0
    change: float | None = None


SHAPES: dict[str, Shape] = {
    "news": Shape(100_000, 15_000, 900_000, 17, niches=30, life_hours=4.0, loyalty=0.5),
    "groceries": Shape(4_000, 2_500, 500_000, 120, niches=40, tail=1.5, repeats=0.6),
    "music": Shape(30_000, 200_000, 2_000_000, 180, niches=400, tail=1.1, loyalty=0.9, repeats=0.2),
    "tiny": Shape(100, 50, 1_500, 60, niches=5, tail=2.0),
    "head": Shape(50_000, 5_000, 500_000, 90, niches=20, head=0.35),
    "two_days": Shape(8_000, 1_500, 60_000, 2, niches=25),
}
CONFIGURATION = """# A log of the shape {shape}: nothing but columns mapped.

[source]
path = "logs/*.csv"
file_date = "%Y-%m-%d"

[source.columns]
user = "user_id"
item = "item_id"
timestamp = "event_time"
"""


def write_shape(folder: Path, name: str, *, start: date, seed: int = 7, scale: float = 1.0) -> date:
    """Write logs/, a file a day, and nightshelf.toml, unless it exists; return the night's date.

    There is one more day of logs than the shape has, for the night after.

    ``scale`` multiplies users, items and events. Equal arguments give equal bytes.

    Raises
    ------
    ConfigurationError
        If there is no such shape.
    """
    if name not in SHAPES:
        raise ConfigurationError(f"unknown shape {name!r}; known: {', '.join(sorted(SHAPES))}")
    shape = SHAPES[name]
    days = shape.days + 1
    longer = replace(shape, days=days, events=round(shape.events * days / shape.days))
    users, items, times = shape_events(longer, seed=seed, scale=scale)
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    midnight = int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()) * 1000
    table = pa.table(
        {
            "user_id": pc.binary_join_element_wise("u", pa.array(users).cast(pa.string()), ""),
            "item_id": pc.binary_join_element_wise("i", pa.array(items).cast(pa.string()), ""),
            "event_time": pa.array(times + midnight).cast(pa.timestamp("ms", "UTC")),
        }
    )
    for day in range(days):
        low, high = np.searchsorted(times, [day * DAY_MS, (day + 1) * DAY_MS])
        path = logs / f"{start + timedelta(days=day)}.csv"
        part = path.with_name(path.name + ".part")
        pa_csv.write_csv(table.slice(low, high - low), part)
        part.replace(path)
    config = folder / "nightshelf.toml"
    if not config.exists():
        config.write_text(CONFIGURATION.format(shape=name), encoding="utf-8")
    return start + timedelta(days=shape.days - 1)


def shape_events(shape: Shape, *, seed: int, scale: float = 1.0) -> tuple[Longs, Longs, Longs]:
    """Return users, items and times (milliseconds from the start) of all events, sorted by time."""
    random = np.random.default_rng(seed)
    n_users, n_items, n_events = (
        max(2, round(scale * size)) for size in (shape.users, shape.items, shape.events)
    )
    span = shape.days * DAY_MS
    hours = random.choice(24, n_events, p=np.array(HOURS) / sum(HOURS))
    times = random.integers(0, shape.days, n_events) * DAY_MS + hours * HOUR_MS
    times = np.sort(times + random.integers(0, HOUR_MS, n_events))
    activity = random.permutation(1 / np.arange(1, n_users + 1) ** 0.7)
    users = random.choice(n_users, n_events, p=activity / activity.sum())
    niche = _niches(random, users, n_users, times, shape)
    items = _items(random, niche, times, n_items, span, shape)
    items = _repeated(random, users, items, shape.repeats)
    items[random.random(n_events) < shape.head] = 0
    return users.astype(np.int64), items, times.astype(np.int64)


def _niches(random: np.random.Generator, users: Longs, n_users: int, times: Longs, shape: Shape) -> Longs:
    """Draw the niche of each event: one of its user's, or any with the chance 1 - loyalty."""
    count = min(shape.niches, len(NICHES_PER_USER))
    own = random.integers(0, shape.niches, (n_users, count))
    place = np.searchsorted(np.cumsum(NICHES_PER_USER[:count]), random.random(len(users)))
    place = np.minimum(place, count - 1)
    chosen = own[users, place]
    if shape.change is not None:
        later = random.integers(0, shape.niches, (n_users, count))
        chosen = np.where(times < shape.change * shape.days * DAY_MS, chosen, later[users, place])
    other = random.integers(0, shape.niches, len(users))
    return np.where(random.random(len(users)) < shape.loyalty, chosen, other).astype(np.int64)


def _items(  # noqa: PLR0917
    random: np.random.Generator, niche: Longs, times: Longs, n_items: int, span: int, shape: Shape
) -> Longs:
    """Draw each event's item from its niche, by the weights of the items at that time."""
    home = np.sort(random.integers(0, shape.niches, n_items))  # items of a niche lie together
    bounds = np.searchsorted(home, np.arange(shape.niches + 1))
    weight = random.pareto(shape.tail, n_items) + 0.02
    born, life = np.full(n_items, -1.0), np.full(n_items, np.inf)
    slot = span
    if shape.life_hours is not None:
        typical = shape.life_hours * HOUR_MS
        born = random.uniform(-6 * typical, span, n_items)
        life = typical * random.lognormal(0, 0.7, n_items)
        slot = max(LEAST_SLOT, int(typical / SLOTS_PER_LIFE))
    items = np.empty(len(times), np.int64)
    for begin in range(0, span, slot):
        low, high = np.searchsorted(times, [begin, begin + slot])
        ages = begin - born
        now = np.where(ages >= 0, weight * np.exp(-np.maximum(ages, 0) / life), 0.0)
        items[low:high] = _drawn(random, niche[low:high], now, bounds)
    return np.asarray(random.permutation(n_items)[items])  # ids say nothing of niches


def _drawn(random: np.random.Generator, niche: Longs, weight: Floats, bounds: Longs) -> Longs:
    """Draw an item of each niche by ``weight``; from all items if nothing in the niche has any."""
    total = np.concatenate([[0.0], np.cumsum(weight)])
    start, stop = total[bounds[niche]], total[bounds[niche + 1]]
    empty = stop <= start
    start, stop = np.where(empty, 0.0, start), np.where(empty, total[-1], stop)
    point = start + random.random(len(niche)) * (stop - start)
    drawn = np.searchsorted(total, point, side="right") - 1
    return np.asarray(np.minimum(drawn, len(weight) - 1), np.int64)


def _repeated(random: np.random.Generator, users: Longs, items: Longs, share: float) -> Longs:
    """Replace a share of the items by one that the same user had before, if there is any."""
    order = np.argsort(users, kind="stable")
    place = np.arange(len(users)) - np.searchsorted(users[order], users[order])  # within the user
    earlier = (random.random(len(users)) * place).astype(np.int64)
    chosen = (random.random(len(users)) < share) & (place > 0)
    source = np.arange(len(users)) - np.where(chosen, place - earlier, 0)
    result = np.empty(len(items), np.int64)
    result[order] = items[order][source]
    return result
