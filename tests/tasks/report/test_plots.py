"""A plot: the same bytes each time, in the colours of the page."""

from __future__ import annotations

import re

from tasks.report.plots import Line, lines, plot


def test_a_plot_is_the_same_bytes_each_time_and_takes_its_colours_from_the_page() -> None:
    drawn = [
        Line("als", 0, [1, 2], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3]),
        Line("random", 7, [1, 2], [0.1, 0.0]),
    ]
    first, second = (plot("a", lambda axis: lines(axis, drawn, "k", "NDCG")) for _ in range(2))
    assert first == second
    assert {"var(--model-0)", "var(--model-7)", "var(--ink)"} <= {*re.findall(r"var\(--[\w-]+\)", first)}
    assert not re.search(r"#0000[0-9a-f]{2}", first)
    assert "http" not in first
    assert ">NDCG</text>" in first
