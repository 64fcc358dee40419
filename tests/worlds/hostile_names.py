"""Two hundred names with which an attacker could try to run code or escape the store."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

HOSTILE_IDS = st.one_of(
    st.text(),
    st.sampled_from(
        ["..", ".", "", "a/b", "../x", "/etc", "a\x00b", "a\n", "-x", "é", "x" * 65, "a.b", "²", "٣"]
    ),
    st.from_regex(r"[a-z0-9_./\\-]*", fullmatch=True),
)
"""Texts for the id of a run, a release or an ingest."""

SQL = (
    "'", '"', "`", "''", "\\'", "';", '";', "`;", "--", "/*", "*/", "#", ";", "$$", "$1", "?", ":p",
    "%s", "x'; DROP TABLE interactions; --", 'x"; DROP TABLE interactions; --',
    "x`; DROP TABLE interactions; --", "x') OR 1 = 1 --", "x' OR '1'='1", "1; SELECT pg_sleep(10)",
    "x'||(SELECT 1)||'", "x\\'; DROP TABLE users", "user_id FROM users; --", "*", "COUNT(*)",
    "(SELECT 1)", "NULL", "1=1", "x AS y", "x, y", "x.y", "x y", "select", "SELECT", "from",
    "table", "order", "user", "CURRENT_USER", "COLUMNS('.*')", "t0", "c0", "line", "file_id", "raw",
    "rest", "_last_day", "outcome", "day", "row_hash", "shape", "x'::INTEGER", "x END, 1 --",
    "x' THEN 1 END); DROP TABLE judged; --", "' UNION SELECT * FROM read_csv('/etc/passwd') --",
    "'; COPY (SELECT 1) TO '{canary}'; --", "\"; COPY (SELECT 1) TO '{canary}'; --",
    "'; INSTALL httpfs; LOAD httpfs; --", "'; ATTACH '{canary}'; --",
    "'; SET lock_configuration=false; --", "'; CREATE FUNCTION f AS 'java.lang.Runtime'; --",
    "reflect('java.lang.Runtime', 'exec', 'id')", "java_method('java.lang.System', 'exit', 0)",
    "read_text('/etc/passwd')", "getenv('HOME')",
)  # fmt: skip
PATHS = (
    "..", ".", "../", "../x", "../../x", "../../../../../../etc/passwd", "..\\..\\x", "a/../../x",
    "a/b", "/", "/etc/passwd", "/x", "//x", "./x", "x/", "x/.", "x/..", "~", "~root",
    "~nobody-there/x", "%2e%2e", "%2e%2e%2f", "%252e%252e%252fx", "..%2fx", "..%c0%afx", "..%00x",
    "%00", "\\x", "C:\\x", "C:x", "\\\\host\\share\\x", "file:///etc/passwd", "file://{canary}",
    "http://127.0.0.1:9/x", "s3://bucket/x", "memory://x", "x?y", "x*", "[x]", "{{x,y}}", "x[", "]",
    "**", "*.parquet", "part-0.parquet", "current.json", ".lock", ".hidden", "-", "-x", "--help",
    "--store", "event_date=2026-03-10", "day=none", "x,y", "x:y", "x=y", "x|y", "x&y", "x>y",
    "$HOME", "${{HOME}}", "$(touch {canary})", "`touch {canary}`", "; touch {canary}",
    "| touch {canary}", "&& touch {canary}", "'; touch {canary}; '", "2026-03-10-../x",
    "2026-03-10-", "2026-02-30-r1",
)  # fmt: skip
DEVICES = (
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/tty", "/proc/self/environ",
    "/proc/self/mem", "/proc/self/fd/0", "/proc/1/root", "/sys/kernel", "CON", "NUL", "PRN", "AUX",
    "COM1", "LPT1", "nul.txt",
)  # fmt: skip
TEXT = (
    "", " ", "\t", " x", "x ", "x\n", "\nx", "x\ny", "x\r\ny", "x\0", "\0", "x\0.parquet",
    "x\x1b[31m", "\x07", "\x7f", "\u202ex", "x\u200b", "\ufeffx", "é", "e\u0301", "ａ", "а", "ｉｄ",
    "ⅰ", "²", "٣", "ß", "ſ", "İ", "ﬁ", "‥/x", "．．／x", "∕etc∕passwd", "․․/x", "ʼ", "＇; DROP TABLE x",
    "＂", "；", "\U0001f600", "日本", "a" * 65, "a" * 256, "a" * 5000, "é" * 200, "../" * 2000,
)  # fmt: skip
CODE = (
    "__class__", "__init__", "{{{{ 7 * 7 }}}}", "{{% raw %}}", "{{0.__class__}}", "${{7*7}}",
    "#{{7*7}}", "<%= 7 %>", "__import__('os').system('touch {canary}')", "os.system",
    "models.base:Model", "../models/als", "pickle", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>", "'\"><svg onload=alert(1)>", "javascript:alert(1)", "<!--",
    "]]>", "&lt;b&gt;", "[x](javascript:alert(1))", "![x](http://127.0.0.1:9/x)",
    "=cmd|' /C calc'!A0", "@SUM(1)", "\\u003cscript",
)  # fmt: skip


def hostile_names(canary: Path) -> list[str]:
    """Return the names; code in them would write the file `canary`."""
    names = [name.format(canary=canary) for name in (*PATHS, *CODE)]
    names += [name.replace("{canary}", str(canary)) for name in SQL]
    return list(dict.fromkeys([*names, *DEVICES, *TEXT]))


def toml(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
