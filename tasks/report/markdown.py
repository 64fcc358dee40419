"""The page about a run as Markdown, in which no title, id or message can be anything but text."""

from __future__ import annotations

import re
from typing import Any, Final

import jinja2

from tasks.report import summary
from tasks.report.paths import report_of
from tasks.runtime.redaction import redacted
from tasks.store.layout import Store
from tasks.store.runs import RunRecord

LONGEST: Final = 300  # characters of one value
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~@]|:(?=/)|(?<=\bwww)\.|^[#+-]|(?<=^\d)[.)](?= |$))")

PAGE: Final = """\
# {{ title }}: {{ record.state }}

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
{% for moment in record.resumed_at %}
| resumed | {{ moment }} |
{% endfor %}
| store | {{ store }} |
{% if report %}
| report | {{ report }} |
{% endif %}
| compared with | {{ before or "no earlier release" }} |

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
    """Text that is Markdown already."""

    __slots__ = ()


def markdown(value: Any) -> str:
    """Return a value as one line of Markdown that shows it and does nothing else.

    Line breaks, control and direction characters become spaces, characters that Markdown, HTML or an
    automatic link would take for theirs are escaped, credentials are taken out, and what is long is cut.
    Prefect shows the cells of a table artifact as Markdown too.
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
    """Return text as one line of at most LONGEST characters, without those that no one can see."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def night_page(store: Store, record: RunRecord) -> str:
    """Return the page about a run, however far it came."""
    tables = {
        "Quality": summary.quality_rows(record),
        "Rows": summary.accounting_rows(record),
        "Main metrics": summary.main_metric_rows(summary.compared_metrics(store, record)),
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
        record=record,
        message=record.message.splitlines()[
            : 1 if tables["Quality"] and not record.finished("release") else None
        ],
        readers=summary.readers(record),
        store=store.root,
        before=summary.compared_with(store, record),
        report=report_of(store, record),
        late=summary.late_events_of(record),
        tables=tables.items(),
        numbers={"this run", "all so far", "rows", "seconds", "peak memory"},
        raw=_Raw,
    )
