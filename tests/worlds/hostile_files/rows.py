"""Quotes, delimiters, columns and ids of CSV files."""

from __future__ import annotations

from worlds.hostile_files.case import (
    BIG,
    Case,
    T,
    lines,
    records,
    refused,
    text,
)

NFC, NFD = "caf\u00e9", "cafe\u0301"
ROWS = [
    Case(
        "quoted line ends",
        "nl.csv",
        text(f'"a\nb\r\nc",i,{T}', f"nl2,i,{T}"),
        records,
        kept=("a\nb\r\nc", "nl2"),
    ),
    Case(
        "quoted delimiters and quotes", "quoted.csv", text(f'"a, ""b""",i,"{T}"'), records, kept=('a, "b"',)
    ),
    Case(
        "quote that never closes",
        "open.csv",
        text(f'"open1,i,{T}', f"open2,i,{T}", f"open3,i,{T}"),
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "quote open at the end",
        "openend.csv",
        text(f"oe1,i,{T}", f'oe2,i,"{T}')[:-1],
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "text after a closing quote",
        "after.csv",
        text(f'"after"1,i,{T}', f"after2,i,{T}"),
        lines,
        {"malformed_record": 1},
    ),
    Case(
        "every line opens a quote",
        "each.csv",
        text(*(f'each{n}",x,"{T}' for n in range(50))),
        lines,
        {"malformed_record": 50},
    ),
    Case(
        "ragged rows",
        "ragged.csv",
        text("rag1,i", f"rag2,i,{T}", f"rag3,i,{T},x"),
        records,
        {"ragged_line": 2},
        kept=("rag2",),
    ),
    Case(
        "columns in another order",
        "order.csv",
        text(f"{T},i,ord1", header="time,item,user\n"),
        records,
        kept=("ord1",),
    ),
    Case("a further column", "more.csv", text(f"more1,i,{T},x", header="user,item,time,more\n"), records),
    Case("spaces around names", "names.csv", text(f"names1,i,{T}", header=" user , item,time \n"), records),
    Case(
        "column named twice",
        "twice.csv",
        text(f"u,i,{T},v", header="user,item,time,user\n"),
        refused,
        refused="expected column 'user' once, got it 2 times",
    ),
    Case(
        "column missing",
        "lacks.csv",
        text("u,i", header="user,item\n"),
        refused,
        refused="expected column 'time'; known: user, item",
    ),
    Case(
        "another delimiter",
        "semi.csv",
        text("u;i;t", header="user;item;time\n"),
        refused,
        refused="expected column 'user'; known: user;item;time",
    ),
    Case("header alone", "header.csv", text(), records),
    Case(
        "header again among rows",
        "again.csv",
        text(f"again1,i,{T}", "user,item,time"),
        records,
        {"timestamp_unreadable": 1},
    ),
    Case(
        "ids missing or of spaces",
        "missing.csv",
        text(f",i,{T}", f"   ,i,{T}", f"miss3,,{T}", "miss4,i,"),
        records,
        {"user_missing": 2, "item_missing": 1, "timestamp_missing": 1},
    ),
    Case(
        "007 and 7 are two text ids",
        "zeros.csv",
        text(f"007,z,{T}", f"7,z,{T}", f"7.0,z,{T}"),
        records,
        kept=("007", "7", "7.0"),
    ),
    Case(
        "ids that a spreadsheet rounded",
        "rounded.csv",
        text(
            f"1.79353E+12,i,{T}",
            f"1E+05,i,{T}",
            f'"1,5e+10",i,{T}',
            f"u,9E+9,{T}",
            f"E+5,i,{T}",
            f"5E+,i,{T}",
            f"1.5E12,i,{T}",
            f"a1E+5,i,{T}",
            f"1+1,i,{T}",
        ),
        records,
        {"user_unreadable": 3, "item_unreadable": 1},
        kept=("E+5", "5E+", "1.5E12", "a1E+5", "1+1"),
    ),
    Case(
        "whole numbers as int64",
        "whole.csv",
        text(
            f"007,i,{T},1",
            f"{BIG},i,{T},1",
            f"{BIG - 1},i,{T},1",
            f"{2**63 - 1},i,{T},1",
            f"{-(2**63)},i,{T},1",
            f"17850.0,i,{T},1",
            header="user,item,time,weight\n",
        ),
        records,
        source="int64",
        kept=(7, BIG, BIG - 1, 2**63 - 1, -(2**63), 17850),
    ),
    Case(
        "no whole numbers as int64",
        "nowhole.csv",
        text(
            *(
                f"{user},i,{T},1"
                for user in (2**63, -(2**63) - 1, "7.5", "1e3", "u8", " 8", "0x8", "\u0668", "1_0", "+9")
            ),
            header="user,item,time,weight\n",
        ),
        records,
        {"user_unreadable": 10},
        source="int64",
    ),
    Case("exact repeats", "repeat.csv", text(*[f"rep1,i,{T}"] * 3, f"rep2,i,{T}"), records, duplicates=2),
    Case("both normal forms", "forms.csv", text(f"{NFC},i,{T}", f"{NFD},i,{T}"), records, kept=(NFC, NFD)),
    Case(
        "emoji and planes beyond the first",
        "emoji.csv",
        text(f"\U0001f468\u200d\U0001f469\u200d\U0001f467,i,{T}", f"\U00020000,i,{T}"),
        records,
    ),
    Case(
        "zero-width and bidi characters",
        "bidi.csv",
        text(*(f"z{mark}w,i,{T}" for mark in ("", "\u200b", "\u202e", "\ufeff"))),
        records,
        kept=("zw", "z\u200bw", "z\u202ew", "z\ufeffw"),
    ),
    Case(
        "spaces around ids",
        "spaces.csv",
        text(f" sp,i,{T}", f"sp ,i,{T}", f"\tsp,i,{T}"),
        records,
        kept=(" sp", "sp ", "\tsp"),
    ),
    Case(
        "formulas and SQL as ids",
        "formula.csv",
        text(f"=1+1,i,{T}", f"'; DROP TABLE x; --,i,{T}"),
        records,
        kept=("=1+1", "'; DROP TABLE x; --"),
    ),
]
