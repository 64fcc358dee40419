"""The plots of a report: SVG to embed in a page, coloured by the page's CSS variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

INK: Final = "#000001"  # placeholders for the page's variables, which differ by light and dark
MUTED: Final = "#000002"
GRID: Final = "#000003"
PAPER: Final = "#000004"
STYLES: Final = 8  # line styles: a colour, a dash and a marker each; further models share them
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "p")
DASHES: Final = ("-", "-", "-", "-", "--", ":", "-.", "--")
SIZE: Final = (5.4, 3.5)  # inches: 389 x 252 units of the drawing
SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text, to be searched and read aloud
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One model's values `y` at `x`, of equal length; `low` and `high` are interval ends, or empty.

    `style` is 0 for the served model and up to STYLES - 1 for others.
    """

    name: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def colour(style: int) -> str:
    """Return the placeholder colour of a style's CSS variable."""
    return f"#00001{style}"


def swatch(style: int) -> str:
    """Return the SVG of a short piece of a model's line, for the legend."""
    dash = {"-": "", "--": "6 3", ":": "2 3", "-.": "7 3 2 3"}[DASHES[style]]
    shape = {
        "o": '<circle cx="20" cy="7" r="4"/>',
        "s": '<path d="M16 3h8v8h-8z"/>',
        "^": '<path d="M20 2l5 9h-10z"/>',
        "D": '<path d="M20 2l5 5-5 5-5-5z"/>',
        "v": '<path d="M20 12l5-9h-10z"/>',
        "P": '<path d="M18.5 2h3v3.500h3.500v3h-3.500v3.500h-3v-3.500h-3.500v-3h3.500z"/>',
        "X": '<path d="M16 2.500l4 3 4-3 1 1.500-3 3 3 3-1 1.500-4-3-4 3-1-1.500 3-3-3-3z"/>',
        "p": '<path d="M20 2l5 3.700-2 5.800h-6l-2-5.800z"/>',
    }[MARKERS[style]]
    tone = f"var(--model-{style})"
    return (
        f'<svg viewBox="0 0 40 14" aria-hidden="true" style="fill: {tone}; stroke: {tone}"><path d="M0 7h40" '
        f'stroke-width="2" stroke-dasharray="{dash}"/><g stroke="none">{shape}</g></svg>'
    )


def plot(name: str, draw: Callable[[Any], None], size: tuple[float, float] = SIZE) -> str:
    """Return what `draw` draws on an axis as an SVG element; equal figures give equal bytes.

    `name` (letters) prefixes every id in it, so that one page can hold several plots.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(name, text.getvalue())


def lines(axis: Any, models: Sequence[Line], x_label: str, y_label: str) -> None:
    """Draw a line per model, with its intervals as a band, or as a bar if it has one point."""
    for line in reversed(models):
        appearance: dict[str, Any] = {
            "color": colour(line.style),
            "marker": MARKERS[line.style],
            "zorder": 10 - line.style,
        }
        axis.plot(line.x, line.y, linestyle=DASHES[line.style], **appearance)
        if line.low and None not in (*line.low, *line.high):
            band = {"color": colour(line.style), "zorder": 2, "linewidth": 0}
            if len(line.x) > 1:
                axis.fill_between(line.x, line.low, line.high, alpha=0.13, **band)
            else:
                axis.vlines(line.x, line.low, line.high, color=colour(line.style), linewidth=1.2)
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.set_ylim(bottom=min([0.0, *(value for line in models for value in line.y)]))


def by_k(axis: Any, models: Sequence[Line], label: str) -> None:
    """Draw a metric by list length k, evenly spaced, since the configured k usually double."""
    ks = sorted({int(k) for line in models for k in line.x})
    positions = {k: position for position, k in enumerate(ks)}
    spaced = [
        Line(line.name, line.style, [positions[int(k)] for k in line.x], line.y, line.low, line.high)
        for line in models
    ]
    lines(axis, spaced, "k, length of the list", label)
    axis.set_xticks(range(len(ks)), [str(k) for k in ks])
    axis.set_xlim(-0.4, len(ks) - 0.6)
    axis.grid(visible=False, axis="x")


def nights(axis: Any, models: Sequence[Line], dates: Sequence[str], label: str) -> None:
    """Draw a metric by night; `x` of a line are positions in `dates`; some dates are labelled."""
    lines(axis, models, "night", label)
    step = -(-len(dates) // 6)
    labelled = range((len(dates) - 1) % step, len(dates), step)  # always includes the last
    axis.set_xticks(list(labelled), [dates[night] for night in labelled])
    axis.set_xlim(-0.4, len(dates) - 0.6)
    axis.grid(visible=False, axis="x")


def by_rank(axis: Any, line: Line, label: str) -> None:
    """Draw a share by rank; `x` of the line are ranks."""
    lines(axis, [line], "rank in the list", label)
    axis.xaxis.get_major_locator().set_params(integer=True)


def trade_off(axis: Any, models: Sequence[Line], x_label: str, y_label: str) -> None:
    """Draw a point per model with its interval; `x` and `y` of a line have one value each."""
    for line in models:
        appearance: dict[str, Any] = {
            "color": colour(line.style),
            "marker": MARKERS[line.style],
            "markersize": 8,
        }
        if line.low and None not in (*line.low, *line.high):
            ends = [[line.y[0] - line.low[0]], [line.high[0] - line.y[0]]]  # type: ignore[operator]
            axis.errorbar(line.x, line.y, ends, fmt="none", ecolor=colour(line.style), elinewidth=1.2)
        axis.plot(line.x, line.y, linestyle="none", **appearance)
    axis.set(xlabel=x_label, ylabel=y_label)
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(bottom=0, top=1.12 * axis.get_ylim()[1])
    axis.xaxis.set_major_formatter(_percent)


def concentration(axis: Any, curves: Mapping[str, Floats]) -> None:
    """Draw the cumulated shares of the most frequent items, a curve per name."""
    styles = (("-", MUTED), ("-", colour(0)))
    for (name, curve), (dash, tone) in zip(curves.items(), styles, strict=False):
        counts = np.unique(np.geomspace(1, len(curve), 160).astype(int))  # few points
        axis.plot(counts, curve[counts - 1], dash, color=tone, label=name)
    axis.set_xscale("log")
    axis.set(xlabel="number of items, the most frequent first", ylabel="cumulated share")
    axis.set_ylim(0, 1.03)
    axis.yaxis.set_major_formatter(_percent)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.xaxis.set_minor_formatter("")
    axis.legend(frameon=False, loc="lower right", labelcolor=INK)


def kept_items(axis: Any, shares: Sequence[float]) -> None:
    """Draw the share of users by the number of items they keep: `shares[j]` of users keep j."""
    positions = np.arange(len(shares))
    bars = axis.bar(positions, shares, width=0.72, color=colour(0), linewidth=0)
    for bar, share in zip(bars, shares, strict=True):
        text = f"{share:.0%}" if share >= 0.005 else "<1%" if share else "0"
        axis.annotate(text, (bar.get_x() + bar.get_width() / 2, bar.get_height()), (0, 3), ha="center",
                      textcoords="offset points", fontsize=9, color=INK if share else MUTED)  # fmt: skip
    axis.set(xlabel=f"items kept of the first {len(shares) - 1}, at any rank", ylabel="users")
    axis.set_xticks(positions)
    axis.set_ylim(0, 1.14 * max(shares))
    axis.yaxis.set_major_formatter(_percent)
    axis.grid(visible=False, axis="x")


def _percent(value: float, _: Any = None) -> str:
    return f"{value:.0%}"


def _for_page(name: str, svg: str) -> str:
    """Return the SVG for a page: unique ids, colours as CSS variables, no metadata or size."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
    for metadata in root.findall("{*}metadata"):
        root.remove(metadata)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML needs no namespace
        attributes = [(key.rpartition("}")[2], value) for key, value in element.items()]
        element.attrib.clear()
        element.attrib.update({key: _attribute(name, key, value) for key, value in attributes})
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    return ElementTree.tostring(root, encoding="unicode").strip()


def _attribute(name: str, key: str, value: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    for tone, variable in _page_variables().items():
        value = value.replace(tone, f"var(--{variable})")
    return value.replace("url(#", f"url(#{name}-")


def _page_variables() -> dict[str, str]:
    """Return the page's CSS variable for each placeholder colour."""
    models = {colour(style): f"model-{style}" for style in range(STYLES)}
    return {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", **models}
