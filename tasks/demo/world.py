"""The latent world of the demo logs: users and items in a small taste space, and daily shelves.

Items belong to niches, and niches to categories. A user views a niche with probability
softmax(SHARPNESS * taste . niche + log popularity of the day), and within it an item by its weight
of the day. These few dozen latent directions are what factor and item-item models can learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from tasks.runtime.errors import ConfigurationError

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

TASTE_SIZE = 12
SHARPNESS = 10.0
CATEGORIES = 16
MOST_NICHES = 128  # eight per category, as tasks.demo.catalogue has nouns
CHUNK_ROWS = 200_000
BOT = 0  # the index of the only user who is not human
DAYS_BEFORE = 730
DAYS_AFTER = 120  # newcomers arrive within these days after the start, however many are written
EARLY_SHARE = 0.85
COUNTRY_SHARES = np.array([0.26, 0.18, 0.14, 0.12, 0.10, 0.08, 0.07, 0.05])
AGE_SHARES = np.array([0.16, 0.28, 0.24, 0.16, 0.10, 0.06])


@dataclass(frozen=True)
class Users:
    """Users by index, in order of joining; index 0 is the bot."""

    joined: Ints  # (users,) days after the start, sorted
    cumulative: Floats  # (users,) running sum of activity
    taste: Floats32  # (users, TASTE_SIZE), times SHARPNESS
    cart_rate: Floats32  # (users,) chance that a view becomes a cart
    country: Ints  # (users,)
    age: Ints  # (users,)

    def __len__(self) -> int:
        return len(self.joined)


@dataclass(frozen=True)
class Niches:
    """Groups of similar items, each in a category."""

    vector: Floats32  # (niches, TASTE_SIZE), unit length
    category: Ints  # (niches,)
    neighbours: Ints  # (niches, 2) the closest other categories
    period: Floats  # (niches,) days of a wave of fashion
    phase: Floats  # (niches,)

    def __len__(self) -> int:
        return len(self.category)


@dataclass(frozen=True)
class Items:
    """Items by index, in order of release."""

    released: Ints  # (items,) days after the start, sorted
    niche: Ints  # (items,)
    weight: Floats  # (items,) power law
    decay: Floats  # (items,) days
    cents: Ints  # (items,)
    brand: Ints  # (items,)
    categories: Ints  # (items,) 1 to 3: how many categories the catalogue names

    def __len__(self) -> int:
        return len(self.released)


@dataclass(frozen=True)
class Shelf:
    """The users and items of a day."""

    day: int
    users: int  # users [0, users) have joined
    items: int  # items [0, items) are released
    order: npt.NDArray[np.int64]  # (world items,) item index, niche by niche
    cumulative: Floats  # (world items,) running sum of the day's weights in that order
    low: Floats  # (niches,) the running sum before the niche
    high: Floats  # (niches,) and after it
    popularity: Floats32  # (niches,) log weight, -inf for an empty niche
    vectors: Floats32  # (niches, TASTE_SIZE)

    def niches(self, taste: Floats32, uniforms: Floats32) -> npt.NDArray[np.int64]:
        """Draw niches for tastes (n, TASTE_SIZE) by uniforms (n, k); int64 (n, k)."""
        drawn = np.empty(uniforms.shape, dtype=np.int64)
        for begin in range(0, len(taste), 8192):
            block = slice(begin, begin + 8192)
            scores = taste[block] @ self.vectors.T + self.popularity  # (block, niches)
            np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
            np.cumsum(scores, axis=1, out=scores)
            thresholds = uniforms[block] * scores[:, -1:] * np.float32(1 - 1e-6)  # (block, k)
            for column in range(uniforms.shape[1]):
                drawn[block, column] = (scores <= thresholds[:, column, None]).sum(axis=1)
        return drawn

    def pick(self, niches: npt.NDArray[np.int64], uniforms: Floats) -> Ints:
        """Draw a released item from each niche; int32 (n,)."""
        low, high = self.low[niches], self.high[niches]
        point = np.minimum(low + uniforms * (high - low), np.nextafter(high, 0))
        return self.order[np.searchsorted(self.cumulative, point, side="right")].astype(np.int32)


@dataclass(frozen=True)
class World:
    """Everything that all days share; equal arguments give equal worlds."""

    seed: int
    start: date
    events_per_day: int
    users: Users
    items: Items
    niches: Niches
    staples: Ints  # (users, 2) items that a user returns to, all released at the start
    chunk_rows: int = CHUNK_ROWS  # about the rows of a chunk of a day

    @property
    def chunks(self) -> int:
        """Number of chunks of a day; chunks keep memory constant for any size of day."""
        return -(-self.events_per_day // self.chunk_rows)

    def random(self, *stream: int) -> np.random.Generator:
        """Return the random generator of a stream, independent of all other streams."""
        return np.random.default_rng([self.seed, *stream])

    def shelf(self, day: int) -> Shelf:
        """Return the shelf of a day, counted from the start."""
        return _shelf(self.users, self.items, self.niches, day)


def build_world(*, start: date, users: int, items: int, events_per_day: int, seed: int) -> World:
    """Build the world of a seed and a size.

    Raises
    ------
    ConfigurationError
        A size is too small (at least two users, as one is the bot) or the seed is negative.
    """
    for name, value, least in (
        ("users", users, 2),
        ("items", items, 1),
        ("events_per_day", events_per_day, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ConfigurationError(f"expected {name} of at least {least}, got {value}")
    random = np.random.default_rng([seed, 0])
    centres = _unit(random.standard_normal((CATEGORIES, TASTE_SIZE)))
    niches = _niches(random, centres, int(np.clip(0.7 * items**0.5, 1, MOST_NICHES)))
    crowd = _users(random, centres, users)
    goods = _items(random, niches, items)
    shelf = _shelf(crowd, goods, niches, 0)
    drawn = shelf.niches(crowd.taste, random.random((users, 2), dtype=np.float32))
    staples = shelf.pick(drawn.ravel(), random.random(2 * users)).reshape(users, 2)
    return World(seed, start, events_per_day, crowd, goods, niches, staples)


def _niches(random: np.random.Generator, centres: Floats, count: int) -> Niches:
    category = np.arange(count, dtype=np.int32) % CATEGORIES
    vector = _unit(centres[category] + 0.7 * _unit(random.standard_normal((count, TASTE_SIZE))))
    closeness = vector @ centres.T  # (niches, categories)
    closeness[np.arange(count), category] = -np.inf
    neighbours = np.argsort(-closeness, axis=1, kind="stable")[:, :2].astype(np.int32)
    period, phase = random.uniform(30, 120, count), random.random(count)
    return Niches(vector.astype(np.float32), category, neighbours, period, phase)


def _users(random: np.random.Generator, centres: Floats, count: int) -> Users:
    shares = (np.arange(CATEGORIES) + 2.0) ** -0.5
    loved = random.choice(CATEGORIES, size=(count, 3), p=shares / shares.sum())
    strength = np.array([0.6, 0.3, 0.1]) * random.uniform(0.5, 1.5, (count, 3))
    strength /= strength.sum(axis=1, keepdims=True)
    country = random.choice(len(COUNTRY_SHARES), size=count, p=COUNTRY_SHARES).astype(np.int32)
    national = 0.25 * _unit(random.standard_normal((len(COUNTRY_SHARES), TASTE_SIZE)))
    taste = np.full((count, TASTE_SIZE), 0.0)
    for rank in range(3):
        taste += strength[:, rank, None] * centres[loved[:, rank]]
    taste += 0.35 * _unit(random.standard_normal((count, TASTE_SIZE))) + national[country]
    activity = np.minimum(random.lognormal(0.0, 1.2, count), 40.0)
    activity[BOT] = 0.0  # its rows are made separately
    return Users(
        joined=_arrivals(random, count, early=2),
        cumulative=np.cumsum(activity),
        taste=(SHARPNESS * taste).astype(np.float32),
        cart_rate=random.beta(1.2, 8.8, count).astype(np.float32),
        country=country,
        age=random.choice(len(AGE_SHARES), size=count, p=AGE_SHARES).astype(np.int32),
    )


def _items(random: np.random.Generator, niches: Niches, count: int) -> Items:
    niche = (random.permutation(count) % len(niches)).astype(np.int32)
    weight = np.power(random.permutation(count) + 2.0, -0.85, dtype=np.float64)
    level = np.exp(random.normal(3.3, 0.6, CATEGORIES))[niches.category[niche]]
    return Items(
        released=_arrivals(random, count, early=1),
        niche=niche,
        weight=weight,
        decay=60.0 * random.lognormal(0.0, 0.6, count),
        cents=np.maximum(99, 100 * np.rint(level * random.lognormal(0.0, 0.5, count)) - 1).astype(np.int32),
        brand=(niche * 3 + random.integers(0, 5, count)).astype(np.int32),
        categories=random.choice(np.arange(1, 4, dtype=np.int32), size=count, p=[0.65, 0.27, 0.08]),
    )


def _arrivals(random: np.random.Generator, count: int, early: int) -> Ints:
    before = -random.integers(0, DAYS_BEFORE, count)
    after = random.integers(1, DAYS_AFTER + 1, count)
    days = np.sort(np.where(random.random(count) < EARLY_SHARE, before, after)).astype(np.int32)
    days[:early] = np.minimum(days[:early], 0)
    return days


def _shelf(users: Users, items: Items, niches: Niches, day: int) -> Shelf:
    age = np.maximum(day - items.released, 0)
    trend = (1 - np.exp(-(age + 1) / 4)) * (0.25 + 0.75 * np.exp(-age / items.decay))
    weight = np.where(items.released <= day, items.weight * trend, 0.0)
    order = np.argsort(items.niche, kind="stable")
    cumulative = np.cumsum(weight[order])
    ends = np.cumsum(np.bincount(items.niche, minlength=len(niches)))
    high = cumulative[ends - 1]
    low = np.concatenate([[0.0], high[:-1]])
    fashion = 0.4 * np.sin(2 * np.pi * (day / niches.period + niches.phase))
    with np.errstate(divide="ignore"):
        popularity = (0.7 * np.log(high - low) + fashion).astype(np.float32)
    joined = int(np.searchsorted(users.joined, day, side="right"))
    released = int(np.searchsorted(items.released, day, side="right"))
    return Shelf(day, joined, released, order, cumulative, low, high, popularity, niches.vector)


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
