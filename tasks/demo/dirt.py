"""The dirt of the demo logs: rows that are broken, or valid but awkward, counted by kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

from tasks.demo.catalogue import AWKWARD_QUERIES
from tasks.demo.events import EVENTS, SESSIONS_PER_CHUNK, Rows, chunk_rows, session_rows
from tasks.demo.world import BOT, Shelf, World

FLAWS = {  # name: share of the dirty rows; a row has at most one flaw
    "clean": 0.0,
    "bot": 0.0,  # valid: the views of a single user, BOT_SHARE of all rows
    "duplicate": 0.20,  # an exact copy, a few lines below its original
    "late": 0.20,  # valid: whole sessions of the day before
    "missing_user": 0.08,
    "missing_item": 0.08,
    "bad_timestamp": 0.08,  # cannot be parsed, or no such date
    "epoch_timestamp": 0.08,  # milliseconds since 1970
    "future_timestamp": 0.05,  # decades ahead
    "unknown_event": 0.07,
    "ragged": 0.08,  # CSV: too few or too many fields; JSON Lines: cut short; Parquet has none
    "quoted": 0.04,  # valid: a field with commas, quotes or line breaks
    "offset": 0.04,  # valid: the time with +02:00 instead of Z
}
CODES = {name: code for code, name in enumerate(FLAWS)}
EVENT_NAMES = (*EVENTS, "heartbeat", "hover", "test_event", "?")
BAD_TIMES = (
    "yesterday",
    "2026-02-30T10:00:00.000Z",
    "31/31/2026 10:61",
    "NaT?",
    "noonish",
    "0000-00-00 00:00:00",
)
IN_PLACE = tuple(name for name, share in FLAWS.items() if share and name not in {"duplicate", "late"})


def dirty_rows(world: World, shelf: Shelf, before: Shelf | None, *, chunk: int, share: float) -> Rows:
    """Return a chunk of a day's rows with its dirt.

    `before` is the shelf of the day before; None on the first day, which has no late rows.
    """
    rows = chunk_rows(world, shelf, chunk)
    rows["flaw"][rows["user"] == BOT] = CODES["bot"]
    if share == 0:
        return rows
    random = world.random(3, shelf.day, chunk)
    people = np.flatnonzero(rows["flaw"] == CODES["clean"])
    counts = {name: int(share * part * len(rows) + random.random()) for name, part in FLAWS.items()}
    spoilt = random.choice(people, min(sum(counts[name] for name in IN_PLACE), len(people)), replace=False)
    kinds = np.repeat([CODES[name] for name in IN_PLACE], [counts[name] for name in IN_PLACE])
    _spoil(rows, spoilt, kinds[: len(spoilt)])
    copies, after = _copies(rows, random, counts["duplicate"])
    late = _late(world, before, random, chunk, counts["late"]) if before else rows[:0]
    position = np.concatenate([np.arange(len(rows)), after, random.uniform(0, len(rows), len(late))])
    return np.concatenate([rows, copies, late])[np.argsort(position, kind="stable")]


def times(rows: Rows) -> list[str]:
    """Return the timestamps, as text, of rows whose flaw is in their timestamp."""
    texts = []
    for time, flaw in zip(rows["time"].tolist(), rows["flaw"].tolist(), strict=True):
        timestamp = datetime.fromtimestamp(time // 1000, UTC) + timedelta(milliseconds=time % 1000)
        if flaw == CODES["bad_timestamp"]:
            texts.append(BAD_TIMES[time % len(BAD_TIMES)])
        elif flaw == CODES["epoch_timestamp"]:
            texts.append(str(time))
        elif flaw == CODES["future_timestamp"]:
            texts.append((timestamp + timedelta(days=20_000 + time % 5_000)).strftime("%Y-%m-%dT%H:%M:%SZ"))
        else:
            texts.append(
                timestamp.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="milliseconds")
            )
    return texts


def has_odd_time(rows: Rows) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows whose timestamps `times` makes."""
    names = ("bad_timestamp", "epoch_timestamp", "future_timestamp", "offset")
    return np.isin(rows["flaw"], [CODES[name] for name in names])


def ragged_line(line: str, form: str) -> str:
    """Return a line with a ragged flaw: JSON is cut in the middle, CSV loses or gains fields."""
    if form == "json":
        return line[: len(line) // 2] + "\n"
    fields = line.rstrip("\n").split(",")
    return ",".join(fields[:4] if len(line) % 2 else [*fields, "mobile", "1"]) + "\n"


def _spoil(rows: Rows, spoilt: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64]) -> None:
    rows["flaw"][spoilt] = kinds
    rows["user"][rows["flaw"] == CODES["missing_user"]] = -1
    rows["item"][rows["flaw"] == CODES["missing_item"]] = -1
    unknown = np.flatnonzero(rows["flaw"] == CODES["unknown_event"])
    rows["event"][unknown] = len(EVENTS) + unknown % (len(EVENT_NAMES) - len(EVENTS))
    quoted = np.flatnonzero(rows["flaw"] == CODES["quoted"])
    rows["query"][quoted] = 1 + quoted % len(AWKWARD_QUERIES)


def _copies(rows: Rows, random: np.random.Generator, count: int) -> tuple[Rows, npt.NDArray[np.float64]]:
    clean = np.flatnonzero(rows["flaw"] == CODES["clean"])
    source = random.choice(clean, min(count, len(clean)), replace=False)
    copies = rows[source]
    copies["flaw"] = CODES["duplicate"]
    below = np.asarray(source + random.integers(0, 30, len(source)) + 0.5, np.float64)
    return copies, below


def _late(world: World, before: Shelf, random: np.random.Generator, chunk: int, count: int) -> Rows:
    """Return the first `count` rows of new sessions of the day before."""
    first = (chunk + 1) * SESSIONS_PER_CHUNK - count  # numbers that the day's sessions do not use
    rows = session_rows(world, before, random, count=count, first=first)
    rows = rows[np.lexsort((rows["time"], rows["session"]))][:count]
    rows["flaw"] = CODES["late"]
    return rows
