"""The texts of the demo world: ids, titles, and the catalogues users.csv and items.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.demo.world import World

COUNTRIES = ("DE", "FR", "GB", "PL", "ES", "IT", "NL", "SE")
AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
WORDS = {  # the nouns of eight niches per category, the most that a world can have
    "Books": "crime novels|cookbooks|atlases|poetry|biographies|travel guides|essays|fairy tales",
    "Music": "guitar strings|vinyl records|headphones|keyboards|drum sticks|sheet music|tuners|speakers",
    "Garden": "seed packets|planters|watering cans|pruning shears|bird feeders|hammocks|lanterns|rakes",
    "Kitchen": "chef knives|espresso cups|baking tins|cutting boards|spice jars|woks|teapots|crêpe pans",
    "Outdoor": "tents|trail shoes|head torches|rope|water bottles|sleeping bags|compasses|camp stoves",
    "Fitness": "yoga mats|dumbbells|skipping ropes|foam rollers|running belts|gloves|towels|balance boards",
    "Toys": "puzzles|wooden trains|kites|plush bears|building blocks|marbles|dolls|card games",
    "Office": "notebooks|fountain pens|desk lamps|binders|staplers|whiteboards|calendars|desk mats",
    "Home": "cushions|candles|rugs|wall clocks|picture frames|vases|blankets|mirrors",
    "Bath": "soap bars|bath salts|hand towels|razors|hair brushes|face creams|bath mats|sponges",
    "Electronics": "cables|chargers|keyboards, compact|mice|webcams|power banks|hubs|smart plugs",
    "Fashion": "scarves|belts|rain coats|sunglasses|wool socks|caps|leather bags|shirts",
    "Pets": "cat trees|dog leads|aquariums|chew toys|pet beds|food bowls|litter|grooming kits",
    "Baby": "bibs|rattles|night lights|strollers|sleep suits|pacifiers|changing mats|baby bottles",
    "Tools": "drills|spanners|saws|tape measures|tool boxes|work gloves|clamps|sandpaper",
    "Food": "olive oils|dark chocolate|green tea|honey|pasta|roasted coffee|spices|dried fruit",
}
CATEGORY_NAMES = tuple(WORDS)
BRAND_PREFIXES = (
    "Nord",
    "Alba",
    "Kest",
    "Lumi",
    "Orla",
    "Vant",
    "Mira",
    "Søl",
    "Terra",
    "Quill",
    "Bryn",
    "Faro",
)
BRAND_SUFFIXES = ("vik", "mont", "ra", "holm", "ley", "ino", "by", "fels", "ware", "son", "ette")
AWKWARD_QUERIES = (  # valid, and quoted in CSV
    "lamp, desk, warm white",
    "gift for dad\nunder 30",
    'mirror 24" round',
    '"exact phrase", with commas',
    "first line\nsecond line, and more",
    "thé, café; naïve 🎁",
)
PLAIN_QUERY = 1 + len(AWKWARD_QUERIES)  # the code of the first niche's query; 0 is no query


@dataclass(frozen=True)
class Texts:
    """Text columns by index, as pyarrow string arrays."""

    user_ids: Any  # (users,)
    item_ids: Any  # (items,)
    prices: Any  # (items,)
    queries: tuple[str, ...]  # AWKWARD_QUERIES, then a query per niche

    def encoded_queries(self, form: str) -> Any:
        """Return the encoded queries for a form (csv, json or plain), preceded by 'no query'."""
        if form == "csv":
            return pa.array(["\n", *(f"{_quoted(query)}\n" for query in self.queries)])
        if form == "json":
            return pa.array(["null", *(json.dumps(query, ensure_ascii=False) for query in self.queries)])
        return pa.array([None, *self.queries], pa.string())


def build_texts(world: World) -> Texts:
    """Return the ids and texts of a world."""
    width = max(6, len(str(len(world.users) - 1)))
    item_width = max(5, len(str(len(world.items) - 1)))
    niches = [niche_name(world, niche).replace(",", "") for niche in range(len(world.niches))]
    return Texts(
        user_ids=pa.array([f"u{index:0{width}d}" for index in range(len(world.users))]),
        item_ids=pa.array([f"i{index:0{item_width}d}" for index in range(len(world.items))]),
        prices=pa.array([f"{cents // 100}.{cents % 100:02d}" for cents in world.items.cents.tolist()]),
        queries=(*AWKWARD_QUERIES, *niches),
    )


def niche_name(world: World, niche: int) -> str:
    """Return the noun of a niche, such as `trail shoes`."""
    nouns = WORDS[CATEGORY_NAMES[world.niches.category[niche]]].split("|")
    return nouns[niche // len(CATEGORY_NAMES)]


def write_catalogues(world: World, texts: Texts, folder: Path, day: int) -> tuple[Path, Path]:
    """Write users.csv and items.csv as they are at the end of a day, without later arrivals.

    Ids follow the order of arrival, so an earlier day's files are a prefix of a later day's files.
    """
    shelf = world.shelf(day)
    users, items = folder / "users.csv", folder / "items.csv"
    _write(users, ("user_id", "country", "age_band", "joined"), _user_rows(world, texts, shelf.users))
    _write(
        items,
        ("item_id", "title", "category", "brand", "price", "released"),
        _item_rows(world, texts, shelf.items),
    )
    return users, items


def _user_rows(world: World, texts: Texts, count: int) -> Sequence[tuple[str, ...]]:
    crowd = world.users
    country = [COUNTRIES[index] for index in crowd.country[:count].tolist()]
    age = [AGE_BANDS[index] for index in crowd.age[:count].tolist()]
    joined = _dates(world, crowd.joined[:count].tolist())
    return list(zip(texts.user_ids[:count].to_pylist(), country, age, joined, strict=True))


def _item_rows(world: World, texts: Texts, count: int) -> Sequence[tuple[str, ...]]:
    goods, niches = world.items, world.niches
    names = [niche_name(world, niche).capitalize() for niche in range(len(niches))]
    in_niche = goods.niche[:count].tolist()
    brands = [_brand(index) for index in goods.brand[:count].tolist()]
    titles = [
        f"{brand} {names[niche]} {index}"
        for index, (brand, niche) in enumerate(zip(brands, in_niche, strict=True))
    ]
    listed = [
        [CATEGORY_NAMES[index] for index in (niches.category[niche], *niches.neighbours[niche])]
        for niche in range(len(niches))
    ]
    categories = [
        "|".join(listed[niche][:named])
        for niche, named in zip(in_niche, goods.categories[:count].tolist(), strict=True)
    ]
    ids, prices = texts.item_ids[:count].to_pylist(), texts.prices[:count].to_pylist()
    released = _dates(world, goods.released[:count].tolist())
    return list(zip(ids, titles, categories, brands, prices, released, strict=True))


def _dates(world: World, days: list[int]) -> list[str]:
    known = {day: (world.start + timedelta(days=day)).isoformat() for day in set(days)}
    return [known[day] for day in days]


def _brand(index: int) -> str:
    return BRAND_PREFIXES[index % len(BRAND_PREFIXES)] + BRAND_SUFFIXES[index % len(BRAND_SUFFIXES)]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    part.replace(path)
