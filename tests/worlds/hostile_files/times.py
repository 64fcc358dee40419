"""Timestamps and numbers of CSV files."""

from __future__ import annotations

from worlds.hostile_files.case import (
    HOURS,
    Case,
    T,
    records,
    text,
)

TIMES = [
    Case(
        "seconds where ISO is expected",
        "sec.csv",
        text("sec1,i,1772359200"),
        records,
        {"timestamp_unreadable": 1},
    ),
    Case(
        "times that are none",
        "notime.csv",
        text(
            *(
                f"nt{n},i,{time}"
                for n, time in enumerate(
                    ("2026-02-30", "2026-03-01 24:00:00", "yesterday", f"x{T}", f"{T} EST", "01/03/2026")
                )
            )
        ),
        records,
        {"timestamp_unreadable": 6},
    ),
    Case(
        "offsets",
        "offset.csv",
        text(
            "off1,i,2026-03-01T12:00:00+02:00",
            "off2,i,2026-03-01T10:00:00Z",
            "off3,i,2026-03-01 04:30:00-05:30",
        ),
        records,
    ),
    Case(
        "1970 and 2200",
        "range.csv",
        text("rng1,i,1970-01-01", "rng2,i,2200-01-01", "rng3,i,1989-12-31", "rng4,i,1990-01-01"),
        records,
        {"timestamp_out_of_range": 3},
        kept=("rng4",),
    ),
    Case(
        "10 digits as seconds",
        "ten.csv",
        text(
            "ten1,i,1772359200",
            "ten2,i,1772359200.5",
            "ten3,i,0",
            "ten4,i,-1",
            "ten5,i,7258118400",
            "ten6,i,1.77236E+09",
            f"ten7,i,{T}",
        ),
        records,
        {"timestamp_out_of_range": 3, "timestamp_unreadable": 2},
        source="epoch_s",
    ),
    Case(
        "13 digits as seconds",
        "thirteen.csv",
        text("thr1,i,1772359200000"),
        records,
        {"timestamp_out_of_range": 1},
        source="epoch_s",
    ),
    Case("13 digits as milliseconds", "ms.csv", text("ms1,i,1772359200000"), records, source="epoch_ms"),
    Case(
        "10 digits as milliseconds",
        "tenms.csv",
        text("tms1,i,1772359200"),
        records,
        {"timestamp_out_of_range": 1},
        source="epoch_ms",
    ),
    Case(
        "hours skipped and repeated",
        "hours.csv",
        text(*(f"h{n},i,{hour}" for n, hour in enumerate(HOURS))),
        records,
        source="London",
    ),
    Case(
        "weights that are none",
        "weight.csv",
        text(
            *(
                f"{n},i,{T},{w}"
                for n, w in enumerate(("-1", "inf", "-inf", "1_0", "1e400", "x", "nan", "0", "2.5"), 100)
            ),
            header="user,item,time,weight\n",
        ),
        records,
        {"weight_negative": 1, "weight_not_finite": 3, "weight_unreadable": 2},
        source="int64",
    ),
]
