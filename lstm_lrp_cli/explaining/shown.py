"""How an explanation shows itself, as HTML and as text, and what its ledger and doubts are called.

The HTML has neither scripts nor style sheets, and no colour of its own for text and paper: what
colours relevance is translucent, so that it shows on light and dark notebooks alike. Warm is for
the target and cool against it, which every kind of colour blindness tells apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from textwrap import fill

import numpy as np

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.model import Floats
from .explanation import Asked, ExplainedInput, Explanation
from .sizes import large_sizes

FOR, AGAINST = (240, 120, 20), (40, 120, 240)
# How strongly the strongest is coloured: text must be read on it.
STRONGEST = 0.6
# A series has so many cells side by side at most, and so many features below each other.
MOST_CELLS = 160
MOST_FEATURES = 24
CELLS_WIDTH, CELLS_HEIGHT = 560, 28
TABLE = "border-collapse:collapse;color:inherit"
AXIS = "padding:0;display:flex;justify-content:space-between;opacity:.75"
# Plain text tells of so many tokens, or of so many features.
TEXT_TOKENS = 60
TEXT_WIDTH = 88
# A text of units names so many outputs.
TOLD_UNITS = 6
# What rounds to nothing is not shown.
LEAST_SHARE = 5e-4


def escape(text: str) -> str:
    """Text that is shown, and never markup."""
    import html  # which the command line does not need

    return html.escape(text)


def html_of(explanation: Explanation) -> str:
    """A heat map of tokens, or of a series' features and steps, as a fragment of HTML."""
    picture = "".join(map(_picture, explanation.parts))
    heading = " &middot; ".join(map(escape, _heading(explanation)))
    notes = "".join(
        f'<div style="opacity:.75">{escape(note)}</div>' for note in _notes(explanation)
    )
    return (
        '<div style="margin:.5em 0;line-height:1.6;font-variant-numeric:tabular-nums">'
        f"<div><b>{heading}</b></div>{picture}{notes}</div>"
    )


def _picture(part: ExplainedInput) -> str:
    """What was given to one input, under the input's name where there are several."""
    name = "" if part.name is None else f'<div style="opacity:.75">{escape(part.name)}</div>'
    return name + (_series(part) if part.tokens is None else _tokens(part, part.tokens))


def text_of(explanation: Explanation) -> str:
    """The same in plain text: the tokens in their order, or the features, with their relevance."""
    bodies = map(_body, explanation.parts)
    lines = [", ".join(_heading(explanation)), *bodies, *_notes(explanation)]
    return "\n".join(line for line in lines if line)


def _body(part: ExplainedInput) -> str:
    """What was given to one input, behind its name where there are several."""
    amounts = part.relevance_of_steps
    if part.tokens is not None:
        names, what = part.tokens, "tokens"
    elif part.relevance.ndim == 2:
        names, what = part.features or (), "features"
        amounts = np.nansum(part.relevance, axis=0)
    else:
        names, what = part.step_names, "steps"
    # The strongest, in their order; a space within what stands together is no place to fold.
    strongest = np.argsort(-np.abs(np.nan_to_num(amounts)), kind="stable")[:TEXT_TOKENS]
    told = (f"{names[at]}({_number(amounts[at])})" for at in np.sort(strongest).tolist())
    body = " ".join(each.replace(" ", "\0") for each in told)
    if len(names) > TEXT_TOKENS:
        body += f" and\0{len(names) - TEXT_TOKENS:,}\0weaker\0{what}"
    if part.dates:
        body += f", {span_of(part.dates)}".replace(" ", "\0")
    if part.name is not None:
        body = f"{part.name}: {body}"
    body = fill(body, TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
    return body.replace("\0", " ")


def span_of(dates: tuple[str, ...]) -> str:
    """From when to when a series is."""
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _heading(explanation: Explanation) -> Iterator[str]:
    sequence = explanation.sequence
    own = "" if sequence.id in (None, sequence.number) else f" ({sequence.id})"
    step = "" if explanation.step is None else f" step {explanation.step}"
    yield f"sequence {sequence.number}{own}{step}"
    if not explanation.scored:
        yield "no score"
        return
    if explanation.predicted is not None:
        yield f"predicted {explanation.predicted}"
    if explanation.right is not None:
        yield "right" if explanation.right else f"wrong, labelled {explanation.label}"
    yield f"{explanation.target} {explanation.score:+.3f} by {explanation.method}"
    if explanation.original_score is not None:
        yield original_text(explanation.original_score)


def _notes(explanation: Explanation) -> Iterator[str]:
    """The ledger in one line, what makes single numbers doubtful, and what their unit is."""
    methods = explanation.asked.methods
    own = (method for method in methods if method.name == explanation.method)
    units = units_text(explanation.asked, own)
    if units is not None:
        yield units
    ledger = explanation.ledger
    if ledger is None:
        return
    series = not explanation.model.takes_tokens
    shares = ", ".join(told_shares(explanation, ledger, _number, series=series))
    yield f"score {_number(ledger.score)} = {shares or 0}; residual {ledger.residual:.1g}"
    for doubt in doubts(explanation, series=series):
        yield f"! {doubt}: take single numbers with care"


def original_text(value: float) -> str:
    """A predicted value in the units of the user's."""
    return f"original {value:.6g}"


def units_text(asked: Asked, methods: Iterable[Method]) -> str | None:
    """How much relevance is in the units of the user's values; None where those are not known.

    Parameters
    ----------
    asked : Asked
    methods : iterable of Method
        Those of whose relevance it is told, where it is in the unit of the score.
    """
    methods, model = list(methods), asked.model
    names = [method.name for method in methods if method.in_unit_of_score]
    units = dict(enumerate(model.units))
    if not units or not names:
        return None
    what = "relevance" if len(names) == len(methods) else f"relevance by {', '.join(names)}"
    if asked.both is not None:
        units = {score: units[score] for score in asked.both}
    linear = {score: unit for score, unit in units.items() if unit is not None}
    if not linear:
        return f"{what} is of the score before the last activation, and not in original units"
    if len(set(units.values())) == 1:
        return f"1 of {what} is {next(iter(linear.values())):.6g} in original units"
    if asked.both is not None:
        return f"{what} is of a difference of values in different units, and not in original units"
    told = [f"{unit:.6g} of {model.target_name(score)}" for score, unit in linear.items()]
    more = f" and {len(told) - TOLD_UNITS} more" if len(told) > TOLD_UNITS else ""
    return f"1 of {what} is, in original units, {', '.join(told[:TOLD_UNITS])}{more}"


def told_shares(
    explanation: Explanation, ledger: Ledger, number: Callable[[float], str], *, series: bool
) -> list[str]:
    """A ledger's shares as people read them, without those that round to zero.

    Behind the tokens stands what each of several inputs has of them.
    """
    of_inputs = (explanation.of_inputs or {}).items()
    each = ", ".join(f"{name} {_number(amount)}" for name, amount in of_inputs)
    return [
        f"{share_name(name, series=series)} {number(amount)}"
        + (f" ({each})" if name == "tokens" and each else "")
        for name, amount in ledger.shares.items()
        if abs(amount) >= LEAST_SHARE
    ]


def doubts(explanation: Explanation, *, series: bool) -> list[str]:
    """What of one explanation is large beside its score, as in "shares 63 times the score"."""
    return [
        f"{size_name(name, series=series)} {times_text(ratio)} times the score"
        for name, ratio in large_sizes(explanation).items()
    ]


def times_text(ratio: float) -> str:
    """A ratio as people read it."""
    return f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.2g}"


def share_name(name: str, *, series: bool) -> str:
    """A ledger's share as people read it; a numeric series has steps for tokens."""
    return "steps" if series and name == "tokens" else name.replace("_", " ")


def size_name(name: str, *, series: bool) -> str:
    return "stabilizers by size" if name == "stabilizers" else share_name(name, series=series)


def _number(amount: float) -> str:
    return "not read" if np.isnan(amount) else f"{amount + 0.0:+.3g}"


def _colour(strength: float) -> str:
    """A background for a strength from -1 to 1."""
    red, green, blue = FOR if strength > 0 else AGAINST
    return f"rgba({red},{green},{blue},{STRONGEST * min(abs(strength), 1.0):.3f})"


def _strengths(amounts: Floats) -> Floats:
    """Relevance relative to the strongest; of what is not read, 0."""
    known = np.nan_to_num(amounts)
    largest = np.abs(known).max(initial=0.0)
    strengths: Floats = known / largest if largest else known
    return strengths


def _tokens(part: ExplainedInput, tokens: tuple[str, ...]) -> str:
    amounts = part.relevance_of_steps
    spans = (
        f'<span title="{_number(amount)}" style="padding:.1em .2em;border-radius:.2em;'
        f'{"opacity:.5" if np.isnan(amount) else f"background:{_colour(strength)}"}">'
        f"<bdi>{escape(token)}</bdi></span>"
        for token, amount, strength in zip(
            tokens, amounts.tolist(), _strengths(amounts).tolist(), strict=True
        )
    )
    return f'<div style="line-height:2;overflow-wrap:anywhere">{" ".join(spans)}</div>'


def _series(part: ExplainedInput) -> str:
    """A row for each feature: its name, its sum, and its steps, coloured, with their values."""
    relevance, values, names = part.relevance, part.part.inputs, part.features or ()
    if relevance.ndim == 1:
        relevance, names, values = relevance[:, np.newaxis], ("all features",), values[:, :0]
    steps = len(relevance)
    together = max(-(-steps // MOST_CELLS), 1)
    starts = np.arange(0, steps, together)
    cells = np.add.reduceat(np.nan_to_num(relevance), starts, axis=0) if steps else relevance
    strengths = _strengths(cells)
    titles = [f"{part.dates[start]}: " if part.dates else "" for start in starts.tolist()]
    sums = cells.sum(axis=0)
    shown = np.sort(np.argsort(-np.abs(sums), kind="stable")[:MOST_FEATURES]).tolist()
    rows = "".join(
        f'<tr><td style="text-align:left"><bdi>{escape(names[at])}</bdi></td>'
        f'<td style="padding:0 .75em;text-align:right">{_number(sums[at])}</td>'
        '<td style="padding:0">'
        f"{_cells(cells[:, at], strengths[:, at], values[:, at : at + 1], titles)}</td></tr>"
        for at in shown
    )
    if part.dates:
        rows += f'<tr><td></td><td></td><td style="{AXIS}">{_ends(part.dates)}</td></tr>'
    notes = []
    if together > 1:
        notes.append(f"a cell is {together} of {steps:,} steps")
    if len(names) > len(shown):
        notes.append(f"and {len(names) - len(shown):,} features of smaller sums")
    told = f'<div style="opacity:.75">{"; ".join(notes)}</div>' if notes else ""
    return f'<table style="{TABLE}"><tbody>{rows}</tbody></table>{told}'


def _ends(dates: tuple[str, ...]) -> str:
    """When the first and the last step were, at either end."""
    ends = dates[:1] if len(dates) == 1 else (dates[0], dates[-1])
    return "".join(f"<span>{escape(date)}</span>" for date in ends)


def _cells(amounts: Floats, strengths: Floats, values: Floats, titles: list[str]) -> str:
    """The cells of one feature from left to right, and a line of its values over them."""
    count = max(len(amounts), 1)
    width = CELLS_WIDTH / count
    found = [
        f'<rect x="{place * width:.2f}" width="{width:.2f}" height="{CELLS_HEIGHT}" '
        f'fill="{_colour(strength)}"><title>{escape(title)}{_number(amount)}</title></rect>'
        for place, (amount, strength, title) in enumerate(
            zip(amounts.tolist(), strengths.tolist(), titles, strict=True)
        )
    ]
    if values.size:
        least, span = values.min(), np.ptp(values) or 1.0
        across = (np.arange(len(values)) + 0.5) * CELLS_WIDTH / len(values)
        down = CELLS_HEIGHT - 3 - (values[:, 0] - least) / span * (CELLS_HEIGHT - 6)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
        found.append(
            f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-opacity=".7"/>'
        )
    return (
        f'<svg width="{CELLS_WIDTH}" height="{CELLS_HEIGHT}" '
        f'style="display:block" role="img">{"".join(found)}</svg>'
    )
