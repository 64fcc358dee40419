"""Small logs as well-known programs write them: each with what a proposal makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from tasks.proposal.guesses.snowplow import ENRICHED_EVENT

NOON = 1_796_040_000  # 2026-11-30T12:00:00Z


@dataclass(frozen=True)
class KnownLog:
    """A log: the file, and the columns, settings and rows that are expected of it."""

    name: str
    content: Callable[[], bytes]
    columns: dict[str, Any]
    settings: dict[str, Any]
    accepted: int
    quarantined: int = 0
    last_day: date = date(2026, 11, 30)
    weights: dict[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        path.write_bytes(self.content())
        return path


def _lines(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


def _ga4() -> bytes:
    events = [
        {
            "event_date": "20261130",
            "event_timestamp": str(NOON * 10**6 + n),
            "event_name": ("view_item", "add_to_cart", "purchase")[n % 3],
            "event_params": [{"key": "ga_session_id", "value": {"int_value": "17"}}],
            "user_id": None,
            "user_pseudo_id": f"10{n % 4}.17",
            "user_first_touch_timestamp": str(NOON * 10**6),
            "geo": {"country": "France"},
            "items": [{"item_id": f"SKU_{n}", "item_name": "Cup", "price": 3.5}],
        }
        for n in range(12)
    ]
    return _lines(*map(json.dumps, events))


def _segment() -> bytes:
    events = [
        {
            "messageId": f"m{n}",
            "type": "track",
            "anonymousId": f"a{n}",
            "userId": f"u{n % 4}",
            "event": ("Product Viewed", "Product Added", "Order Completed")[n % 3],
            "timestamp": f"2026-11-30T10:{n:02d}:00.123Z",
            "receivedAt": "2026-11-30T11:00:00Z",
            "context": {"ip": "192.0.2.1"},
            "properties": {"product_id": f"p{n}", "price": n},
        }
        for n in range(12)
    ]
    return _lines(*map(json.dumps, events))


def _shopify() -> bytes:
    header = (
        "Name,Email,Financial Status,Paid at,Total,Created at,Lineitem quantity,Lineitem name,Lineitem sku"
    )
    rows = []
    for n in range(1, 7):
        time = f"2026-11-{n + 24} 10:00:00 +0100"
        rows += [
            f"#100{n},c{n}@example.org,paid,{time},20.0,{time},1,Cup,SKU-{n}",
            f"#100{n},,,,,,2,Mug,SKU-9",
        ]
    return _lines(header, *rows)


def _matomo() -> bytes:
    rows = [
        f"{n // 3}\t{n % 5:016x}\t2026-11-30 10:{n:02d}:00\t{('view', 'cart')[n % 2]}\tS{n}"
        for n in range(12)
    ]
    return _lines("idvisit\tidvisitor\tserver_time\taction_type\tproductSKU", *rows).decode().encode("utf-16")


def _snowplow() -> bytes:
    rows = []
    for n in range(12):
        values = dict.fromkeys(ENRICHED_EVENT, "")
        values |= {"app_id": "shop", "platform": "web", "event": "struct", "event_id": f"e{n}"}
        values |= {"collector_tstamp": f"2026-11-30 10:{n:02d}:01.1", "event_name": "event"}
        values |= {"derived_tstamp": f"2026-11-30 10:{n:02d}:00.1", "domain_userid": f"d{n % 4}"}
        values |= {"se_category": "shop", "se_action": ("view", "add")[n % 2], "se_label": f"sku{n}"}
        rows.append("\t".join(values.values()))
    return _lines(*rows)


def _semicolons() -> bytes:
    rows = [f"k{n % 4};a{n};{n + 19}.11.2026 09:00;{n % 5},{n % 10}00" for n in range(12)]
    return _lines("Kunde;Artikel;Datum;Bewertung", *rows)


def _ratings() -> bytes:
    return _lines(
        "userId,movieId,rating,timestamp", *(f"{n % 4},{n},{n % 5}.5,{NOON + n}" for n in range(12))
    )


def _retail() -> bytes:
    customers = ["" if n in {2, 3} else f"1785{n % 3}.0" for n in range(12)]
    rows = [
        f'53{n // 2},85{n:03d}A,"CUP, RED",6,12/{n + 2}/2010 8:26,2.55,{customers[n]},France'
        for n in range(12)
    ]
    return _lines("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country", *rows)


def _wordless() -> bytes:
    return _lines(*(f"{n % 4}\t{n}\t{n % 5 + 1}\t{881250949 + n}" for n in range(12)))


LOGS = {
    "GA4": KnownLog(
        "ga4.jsonl",
        _ga4,
        {
            "user": "user_pseudo_id",
            "item": "items[].item_id",
            "timestamp": "event_timestamp",
            "event_type": "event_name",
        },
        {"timestamp_format": "epoch_us", "user_id_type": "string"},
        accepted=12,
        weights={"view_item": 1, "add_to_cart": 3, "purchase": 5},
    ),
    "Segment": KnownLog(
        "segment.json",
        _segment,
        {
            "user": "userId",
            "item": "properties.product_id",
            "timestamp": "timestamp",
            "event_type": "event",
        },
        {"timestamp_format": "iso"},
        accepted=12,
        weights={"Product Viewed": 1, "Product Added": 3, "Order Completed": 5},
    ),
    "Shopify": KnownLog(
        "orders_export.csv",
        _shopify,
        {"user": "Email", "item": "Lineitem sku", "timestamp": "Created at"},
        {"fill_down": ("Email", "Created at"), "fill_down_within": "Name", "timestamp_format": "iso"},
        accepted=12,
    ),
    "Matomo": KnownLog(
        "matomo.tsv",
        _matomo,
        {
            "user": "idvisitor",
            "item": "productSKU",
            "timestamp": "server_time",
            "event_type": "action_type",
            "session": "idvisit",
        },
        {"encoding": "utf-16", "delimiter": None},
        accepted=12,
        weights={"view": 1, "cart": 3},
    ),
    "Snowplow": KnownLog(
        "snowplow.tsv",
        _snowplow,
        {
            "user": "domain_userid",
            "item": "se_label",
            "timestamp": "derived_tstamp",
            "event_type": "se_action",
        },
        {"header": False, "column_names": ENRICHED_EVENT},
        accepted=12,
        weights={"view": 1, "add": 3},
    ),
    "semicolons": KnownLog(
        "export.csv",
        _semicolons,
        {"user": "Kunde", "item": "Artikel", "timestamp": "Datum", "value": "Bewertung"},
        {"delimiter": ";", "decimal": ",", "timestamp_format": "%d.%m.%Y %H:%M"},
        accepted=12,
    ),
    "MovieLens": KnownLog(
        "ratings.csv",
        _ratings,
        {"user": "userId", "item": "movieId", "timestamp": "timestamp", "value": "rating"},
        {"timestamp_format": "epoch_s", "item_id_type": "string"},
        accepted=12,
    ),
    "MovieLens without a header": KnownLog(
        "u.data",
        _wordless,
        {"user": "column_1", "item": "column_2", "timestamp": "column_4"},
        {"format": "csv", "delimiter": "\t", "header": False, "timestamp_format": "epoch_s"},
        accepted=12,
        last_day=date(1997, 12, 4),
    ),
    "Online Retail": KnownLog(
        "retail.csv",
        _retail,
        {
            "user": "CustomerID",
            "item": "StockCode",
            "timestamp": "InvoiceDate",
            "session": "InvoiceNo",
        },
        {
            "fill_down": (),
            "timestamp_format": "%m/%d/%Y %H:%M",
            "user_id_type": "int64",
            "item_id_type": "string",
        },
        accepted=10,
        quarantined=2,
        last_day=date(2010, 12, 13),
    ),
}
