"""The clean events of a chunk of a demo day: sessions with a funnel, and the bot."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from tasks.demo.catalogue import PLAIN_QUERY
from tasks.demo.world import Floats, Ints, Shelf, World

Rows = npt.NDArray[np.void]
Longs = npt.NDArray[np.int64]

ROW = np.dtype(
    [
        ("time", "i8"),  # milliseconds since 1970, UTC
        ("session", "i4"),  # number within the day of its log
        ("user", "i4"),
        ("item", "i4"),
        ("query", "i2"),  # 0 for none, else 1 + index into Texts.queries
        ("event", "i1"),  # index into EVENTS
        ("quantity", "i1"),  # 0 for none
        ("flaw", "i1"),  # index into tasks.demo.dirt.FLAWS
    ]
)
EVENTS = ("view", "cart", "purchase")
VIEW, CART, PURCHASE = range(3)
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()
SESSIONS_PER_CHUNK = 1_000_000  # room for session numbers
BOT_SHARE = 0.03
ROWS_PER_SESSION = 1 / 0.3 * (1 + 0.12 * 1.4)  # views, and their carts and purchases
WEEKDAYS = (0.94, 0.88, 0.88, 0.92, 1.02, 1.22, 1.14)  # Monday first, mean 1
HOURS = (6, 3, 2, 1, 1, 2, 5, 10, 15, 18, 19, 20, 22, 21, 20, 20, 22, 26, 32, 38, 42, 38, 26, 13)
WEEKEND_HOURS = (10, 6, 4, 2, 1, 1, 3, 6, 12, 20, 27, 30, 30, 29, 28, 28, 28, 29, 32, 36, 38, 34, 24, 14)


def chunk_rows(world: World, shelf: Shelf, chunk: int) -> Rows:
    """Return a chunk of a day's rows by time; it depends on world, day and chunk number alone."""
    random = world.random(1, shelf.day, chunk)
    mood = WEEKDAYS[_weekday(world, shelf.day)] * np.exp(world.random(2, shelf.day).normal(0, 0.04))
    people = world.events_per_day * (mood - BOT_SHARE) / world.chunks
    count = int(people / ROWS_PER_SESSION + random.random())
    first = chunk * SESSIONS_PER_CHUNK
    slot = (chunk / world.chunks, (chunk + 1) / world.chunks)
    bot = _bot(world, shelf, random, first, slot)
    rows = np.concatenate([bot, session_rows(world, shelf, random, count=count, first=first + 1, slot=slot)])
    return rows[np.argsort(rows["time"], kind="stable")]


def session_rows(
    world: World,
    shelf: Shelf,
    random: np.random.Generator,
    *,
    count: int,
    first: int,
    slot: tuple[float, float] = (0.0, 1.0),
) -> Rows:
    """Return rows of `count` sessions numbered from `first`, starting within a slot of the day."""
    weights = world.users.cumulative[: shelf.users]
    point = np.minimum(random.random(count) * weights[-1], np.nextafter(weights[-1], 0))
    user = np.searchsorted(weights, point, side="right").astype(np.int32)
    views = np.minimum(random.geometric(0.3, count), 40)
    session = np.repeat(np.arange(count), views)  # (views,) local number of each view's session
    opening = np.cumsum(views) - views  # (count,) index of each session's first view
    item = _items(world, shelf, random, user, session)
    gap = np.clip(40_000 * random.lognormal(0, 1, len(session)), 2_000, 900_000).astype(np.int64)
    passed = np.cumsum(gap) - gap
    offset = passed - passed[opening][session]  # since the session's start
    duration = np.bincount(session, weights=gap, minlength=count).astype(np.int64)
    start = _starts(world, shelf, random, slot, duration)

    seen = np.zeros(len(session), dtype=ROW)
    seen["session"], seen["user"], seen["item"] = first + session, user[session], item
    seen["time"] = start[session] + offset
    searched = opening[random.random(count) < 0.25]
    seen["query"][searched] = PLAIN_QUERY + world.items.niche[item[searched]]
    return _funnel(world, random, seen, gap, (start + duration)[session])


def _items(world: World, shelf: Shelf, random: np.random.Generator, user: Ints, session: Longs) -> Ints:
    """Draw the item of each view: from the session's niche, another, a staple, or the last item."""
    drawn = shelf.niches(world.users.taste[user], random.random((len(user), 2), dtype=np.float32))
    aside = (random.random(len(session)) < 0.2).astype(np.int64)
    item = shelf.pick(drawn[session, aside], random.random(len(session)))
    whim = random.random(len(session))
    staple = whim < 0.04
    which = (whim[staple] < 0.015).astype(np.int64)
    item[staple] = world.staples[user[session[staple]], which]
    repeated = np.flatnonzero(whim > 0.96)
    repeated = repeated[(repeated > 0) & (session[repeated] == session[repeated - 1])]
    item[repeated] = item[repeated - 1]
    return item


def _starts(
    world: World, shelf: Shelf, random: np.random.Generator, slot: tuple[float, float], duration: Longs
) -> Longs:
    share = slot[0] + random.random(len(duration)) * (slot[1] - slot[0])
    start = (_clock(world, shelf.day, share) * DAY_MS).astype(np.int64)
    latest = DAY_MS - 60_000 - duration  # a session, checkout included, ends before midnight
    return midnight(world, shelf.day) + np.minimum(start, latest)


def _funnel(world: World, random: np.random.Generator, seen: Rows, gap: Longs, end: Longs) -> Rows:
    """Add carts after their views, and purchases at the end of the session."""
    carted = random.random(len(seen)) < world.users.cart_rate[seen["user"]]
    cart = seen[carted]
    cart["event"], cart["query"] = CART, 0
    cart["quantity"] = np.minimum(random.geometric(0.8, len(cart)), 9)
    cart["time"] += (gap[carted] * random.uniform(0.2, 0.8, len(cart))).astype(np.int64)
    bought = random.random(len(cart)) < 0.4
    purchase = cart[bought]
    purchase["event"] = PURCHASE
    line = np.flatnonzero(carted)[bought] % 40  # lines of an order differ by milliseconds
    purchase["time"] = end[carted][bought] + 15_000 + line
    return np.concatenate([seen, cart, purchase])


def _bot(
    world: World, shelf: Shelf, random: np.random.Generator, session: int, slot: tuple[float, float]
) -> Rows:
    count = int(BOT_SHARE * world.events_per_day / world.chunks + random.random())
    rows = np.zeros(count, dtype=ROW)
    begin, end = _clock(world, shelf.day, np.array(slot))
    steps = begin + (np.arange(count) + random.random(count) / 2) / max(count, 1) * (end - begin)
    rows["time"] = midnight(world, shelf.day) + (steps * DAY_MS).astype(np.int64)
    rows["session"] = session
    rows["item"] = random.integers(0, shelf.items, count)
    return rows


def _clock(world: World, day: int, share: Floats) -> Floats:
    """Return the share of the day that has passed when a share of its sessions has started."""
    hours = WEEKEND_HOURS if _weekday(world, day) >= 5 else HOURS
    return np.interp(share, np.cumsum([0, *hours]) / sum(hours), np.arange(25) / 24)


def _weekday(world: World, day: int) -> int:
    return (world.start + timedelta(days=day)).weekday()


def midnight(world: World, day: int) -> int:
    """Return the start of a day in milliseconds since 1970, UTC."""
    return (world.start.toordinal() - EPOCH + day) * DAY_MS
