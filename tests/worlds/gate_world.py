"""Three working days and a Monday of events, and the gate's configuration for them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts
from tasks.runtime.errors import ValidationFailedError
from tasks.validation.checks import GateClosedError

AS_OF = date(2026, 3, 9)  # a Monday
SECRET = "secret-user-"  # noqa: S105 - must not leak
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", pa.timestamp("us")),
        ("event_date", pa.date32()),
        ("event_type", pa.string()),
        ("value", pa.float64()),
        ("weight", pa.float64()),
        ("session_id", pa.string()),
        ("position", pa.int64()),
        ("country", pa.string()),
        ("file_id", pa.int32()),
        ("line", pa.int64()),
        ("recent", pa.bool_()),
    ]
)


def configuration(**gate: Any) -> Configuration:
    return Configuration.model_validate(
        {
            "source": {
                "path": "logs",
                "columns": {
                    "user": "u",
                    "item": "i",
                    "timestamp": "t",
                    "event_type": "e",
                    "value": "v",
                    "weight": "w",
                },
                "attributes": {"country": "c"},
                "event_weights": {"view": 1.0, "purchase": 5.0},
                "timestamp_format": "epoch_s",
                "exclude": [{"name": "bots", "where": "user_id = 'bot'"}],
            },
            "gate": gate,
        }
    )


def event(number: int, day: date, **changes: Any) -> dict[str, Any]:
    return {
        "user_id": f"{SECRET}{number % 4}",
        "item_id": f"item-{number % 5}",
        "timestamp": datetime.fromisoformat(f"{day}T12:{number % 60:02}"),
        "event_date": day,
        "event_type": "view",
        "value": 3.0,
        "weight": 1.0,
        "session_id": None,
        "position": None,
        "country": "GB" if number % 2 else None,
        "file_id": 1,
        "line": number,
        "recent": True,
    } | changes


def history(today: int = 10) -> list[dict[str, Any]]:
    """Return ten events on each of three working days before the weekend, `today` on Monday."""
    days = [date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)]
    rows = [event(number, day) for day in days for number in range(10)]
    return rows + [event(number, AS_OF) for number in range(today)]


COUNTS = Counts(read=50, accepted=40, excluded=3, quarantined=5, duplicates=2,
                rules={"bots": 3, "user_missing": 4, "too_few_fields": 1})  # fmt: skip


def refused(gate, *args, **more) -> tuple[GateClosedError, list[str]]:
    with pytest.raises(ValidationFailedError) as caught:
        gate(*args, **more)
    error = caught.value
    assert isinstance(error, GateClosedError)
    assert error.index.is_file()  # the pages exist before the error
    lines = str(error).splitlines()
    failed = [check for check in error.checks if not check.passed and check.column != "quarantine"]
    assert lines[0].startswith(f"2026-03-09: {len(failed)} of the gate's expectations failed")
    assert len(lines) == 1 + len(failed)
    assert SECRET not in str(error)
    return error, lines[1:]
