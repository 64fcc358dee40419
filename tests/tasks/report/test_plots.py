"""Plots: equal bytes each time, in the colours of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tasks.report.plots import Line, lines, plot


def test_a_plot_has_the_same_bytes_each_time_and_the_colours_of_the_page() -> None:
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


def test_a_plot_has_unique_ids_and_its_text_is_unchanged() -> None:
    """Ids and addresses were once replaced in the text, too."""
    label = 'id="x" url(#y) #000001 <b> & more'
    text = plot("a", lambda axis: lines(axis, [Line("als", 0, [1, 2], [0.1, 0.2])], "k", label))
    assert 'id="x" url(#y) #000001 &lt;b&gt; &amp; more</text>' in text
    root = ElementTree.fromstring(text)  # noqa: S314 - our own drawing
    assert root.tag == "svg"
    assert root.keys() == ["viewBox", "version"]
    ids = {element.get("id") for element in root.iter()} - {None}
    assert ids
    assert all(name.startswith("a-") for name in ids)
    used = {element.get("href", "#").removeprefix("#") for element in root.iter()} - {""}
    used |= set(
        re.findall(r"url\(#([^)]*)\)", " ".join(value for e in root.iter() for value in e.attrib.values()))
    )
    assert used <= ids
    assert used
