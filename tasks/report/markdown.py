"""The page about a run as Markdown; titles, ids and messages are escaped, so they stay text."""

from __future__ import annotations

import re
from typing import Any, Final

import jinja2

from tasks.report import summary
from tasks.report.paths import report_of
from tasks.report.source_rows import COLUMNS, replaced_files, source_rows
from tasks.runtime.redaction import redacted
from tasks.store.layout import Store
from tasks.store.runs import RunRecord

LONGEST: Final = 300  # characters of one value
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~@]|:(?=/)|(?<=\bwww)\.|^[#+-]|(?<=^\d)[.)](?= |$))")

PAGE: Final = """\
# {{ title }}: {{ headline }}

{% if failed %}
| failed check | observed | expected |
| --- | --- | --- |
{% for check in failed %}
| {{ check.check }} | {{ check.observed }} | {{ check.bound }} |
{% endfor %}

{% endif %}
{% for line in message %}
**{{ line }}**

{% endfor %}
{{ readers }}

| | |
| --- | --- |
| release | {{ record.release_id or "none" }} |
| as of | {{ record.as_of }} |
| run | {{ record.run_id }} |
| began | {{ record.started_at }} |
| ended | {{ record.finished_at or "not recorded" }} |
{% for time in record.resumed_at %}
| resumed | {{ time }} |
{% endfor %}
| store | {{ store }} |
{% if report %}
| report | {{ report }} |
{% endif %}
| compared with | {{ before or "no earlier release" }} |
{% for text in replaced %}
| not read | {{ text }} |
{% endfor %}
{% if judged %}
| what readers had | {{ judged }} |
{% endif %}

{% if missing %}
**{{ missing }}**

{% endif %}
{% if record.warnings %}
## Warnings
{% for warning in record.warnings %}
- {{ warning }}
{% endfor %}

{% endif %}
{% if late.dates %}
## Late events
{{ late }}

```
{% for command in late.commands %}
{{ raw(command) }}
{% endfor %}
```

{% endif %}
{% for heading, table in tables if table %}
## {{ heading }}
|{% for name in table[0] %} {{ name }} |{% endfor %}

|{% for name in table[0] %}{{ raw(" ---: |" if name in numbers else " --- |") }}{% endfor %}

{% for row in table %}
|{% for value in row.values() %} {{ value }} |{% endfor %}

{% endfor %}

{% endfor %}
"""


class _Raw(str):
    """Text that is already Markdown."""

    __slots__ = ()


def markdown(value: Any) -> str:
    """Return a value as one line of Markdown that displays it literally.

    Line breaks, control and direction characters become spaces. Characters with a meaning in
    Markdown, HTML or automatic links are escaped. Credentials are removed, and long text is cut.
    Prefect renders the cells of a table artifact as Markdown, too.
    """
    if isinstance(value, _Raw):
        return value
    if value is None:
        return ""
    text = (
        f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(redacted(str(value)))
    )
    return _SPECIAL.sub(r"\\\1", plain(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Return text as one line of at most LONGEST characters, without unprintable ones."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def night_page(store: Store, record: RunRecord, missing: str = "") -> str:
    """Return the page about a run, whether or not it finished.

    `missing` says which past dates have no release.
    """
    headline, failed = summary.headline(store, record), summary.failed_checks(store, record)
    lines = record.message.splitlines()
    if record.quality and not record.finished("release"):
        lines = lines[:1]  # the others are the table of checks
    elif headline.startswith("failed: "):
        lines = lines[1:]  # the first is in the title
    before = summary.compared_release(store, record)
    tables = {
        "Quality": [
            {"result": row["result"]} | row  # first: the others can be wide
            for row in summary.quality_rows(record)
            if row not in failed
        ],
        "Rows": summary.accounting_rows(record),
        "Rows by source": source_rows(record),
        "Main metrics" + (f", and the change since {before}" if before else ""): summary.main_metric_rows(
            summary.compared_metrics(store, record)
        ),
        "Stations": summary.station_rows(record),
    }
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - Markdown, not HTML: `finalize` escapes every value
        finalize=markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(PAGE).render(
        title=f"{record.purpose.capitalize()} {record.as_of}",
        headline=headline,
        failed=failed,
        record=record,
        message=lines,
        readers=summary.effect_on_readers(record),
        judged=summary.judged_sentence(record),
        replaced=replaced_files(record),
        store=store.root,
        before=before,
        report=report_of(store, record),
        missing=missing,
        late=summary.late_events_of(record),
        tables=tables.items(),
        numbers={"this run", "all so far", "rows", "seconds", "peak memory", *COLUMNS},
        raw=_Raw,
    )
