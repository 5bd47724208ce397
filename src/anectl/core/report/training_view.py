"""Training curves and the ledger of rounds as figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from anectl.core.records import Interval, Round, Temperature
from anectl.core.report.curves import Curve
from anectl.core.report.figures import (
    Axis,
    Band,
    Dot,
    Figure,
    Line,
    Mark,
    Segment,
    number_axis,
    series_colour,
)


class Panel(NamedTuple):
    """One figure of training: the values of a log that share an axis. `share` values are from 0 to 1."""

    name: str
    title: str
    values: tuple[tuple[str, str], ...]
    share: bool = False


PANELS = (
    Panel("reward", "Reward", (("reward", "reward"),)),
    Panel(
        "accuracy",
        "Accuracy while training",
        (("accuracy_bare", "bare prompt"), ("accuracy_hinted", "with scaffold"), ("accuracy", "next token")),
        share=True,
    ),
    Panel("level", "Scaffold level", (("level", "mean level"), ("cap", "cap"))),
    Panel("entropy", "Entropy, nats", (("entropy", "entropy"),)),
    Panel("length", "Completion length, tokens", (("mean_length", "mean length"),)),
    Panel("loss", "Loss", (("loss", "loss"),)),
    Panel(
        "groups",
        "Cut, and groups without signal",
        (("truncated", "cut at the limit"), ("zero_variance", "all alike")),
        True,
    ),
    Panel("kl", "KL to the reference, nats", (("kl", "KL"),)),
    Panel("repetition", "Repetition", (("repetition", "repetition"),)),
    Panel("gradient", "Gradient norm", (("grad_norm", "gradient norm"),)),
)


def training_figures(curve: Curve, label: str, number: int) -> list[Figure]:
    """The figures of one training log, those that it has values for."""
    figures = []
    for panel in PANELS:
        drawn = [(text, curve.values(name)) for name, text in panel.values]
        drawn = [(text, points) for text, points in drawn if len(points) > 1]
        if drawn:
            figures.append(_panel_figure(panel, drawn, curve, label, number))
    return figures


def _panel_figure(
    panel: Panel, drawn: Sequence[tuple[str, list[tuple[float, float]]]], curve: Curve, label: str, number: int
) -> Figure:
    values = [y for _, points in drawn for _, y in points]
    y = number_axis("", values, share=panel.share, zero=panel.name == "level")
    marks: list[Mark] = []
    for step, alarm in curve.alarms:
        marks.append(Segment(step, y.low, step, y.high, "failing", f"alarm at step {step}: {alarm}"))
    for place, (text, points) in enumerate(drawn):
        colour = series_colour(place)
        if len(points) > 60:
            marks.append(Line(tuple(points), colour, text, thin=True))
            points = _smoothed(points)
        marks.append(Line(tuple(points), colour, text))
    ends = [f"{text} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for text, points in drawn]
    mean = f"; each point is the mean of {curve.width} steps" if curve.width > 1 else ""
    legend = [(text, series_colour(place)) for place, (text, _) in enumerate(drawn)]
    if curve.alarms:
        legend.append(("alarm", "failing"))
    return Figure(
        name=f"training-{number}-{panel.name}",
        title=panel.title,
        x=_steps(curve.last_step),
        y=y,
        marks=tuple(marks),
        legend=tuple(legend) if len(legend) > 1 else (),
        summary=f"{label}: {', '.join(ends)} in {curve.last_step} steps{mean}",
        width=360,
        height=190 if len(legend) < 2 else 206,
    )


def _steps(last: int) -> Axis:
    axis = number_axis("step", [0, max(last, 1)])
    return Axis("step", 0, max(last, 1), tuple(tick for tick in axis.ticks if tick[0] <= last))


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A running mean over about a twentieth of the points, shorter at both ends."""
    half = max(1, len(points) // 40)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    found = []
    for place, (x, _) in enumerate(points):
        reach = min(half, place, len(points) - 1 - place)
        low, high = place - reach, place + reach + 1
        found.append((x, (sums[high] - sums[low]) / (high - low)))
    return found


def round_figures(rounds: Sequence[Round]) -> list[Figure]:
    """The ledger of self-evolving training, round by round (M-STaR, arXiv 2412.17451, figures of section 4)."""
    rounds = sorted(rounds, key=lambda one: one.number)
    if not rounds:
        return []
    k = rounds[0].num_drawn
    kept = rounds[0].num_kept
    figures = [
        _ledger(
            "rounds-accuracy",
            "What is found and what is given",
            rounds,
            (
                (f"pass@{k}", lambda one: one.pass_at_k),
                (f"Reward-Pass@{kept}", lambda one: one.reward_pass),
                ("pass rate", lambda one: one.pass_rate),
                ("greedy", lambda one: one.greedy),
            ),
            share=True,
        ),
        _ledger("rounds-gap", "Exploration gap: pass@K less greedy", rounds, (("gap", lambda one: one.exploration),)),
        _ledger("rounds-surprisal", "Surprisal, nats per token", rounds, (("surprisal", lambda one: one.surprisal),)),
        _ledger("rounds-length", "Mean length, tokens", rounds, (("tokens", lambda one: one.mean_tokens),)),
        _ledger("rounds-temperature", "Temperature", rounds, (("temperature", lambda one: one.temperature),)),
        _ledger("rounds-cut", "Cut at the limit", rounds, (("cut", lambda one: one.truncated),), share=True),
    ]
    return [figure for figure in figures if figure is not None]


_Read = Callable[[Round], "Interval | float | None"]


def _ledger(
    name: str, title: str, rounds: Sequence[Round], reads: Iterable[tuple[str, _Read]], *, share: bool = False
) -> Figure | None:
    marks: list[Mark] = []
    legend, values = [], []
    for place, (label, read) in enumerate(reads):
        colour = series_colour(place)
        found = [(float(one.number), value) for one in rounds if (value := read(one)) is not None]
        if not found:
            continue
        legend.append((label, colour))
        bands = [(x, value.low, value.high) for x, value in found if isinstance(value, Interval)]
        points = [(x, value.value if isinstance(value, Interval) else value) for x, value in found]
        if len(bands) > 1:
            marks.append(Band(tuple(bands), colour))
        marks.append(Line(tuple(points), colour, label))
        marks += [Dot(x, y, colour, f"round {x:g}: {label} {y:.3g}") for x, y in points]
        values += [y for _, y in points]
    if not values:
        return None
    numbers = [one.number for one in rounds]
    every = max(1, -(-len(set(numbers)) // 12))
    ticks = tuple((float(number), str(number)) for number in sorted(set(numbers))[::every])
    x = Axis("round", min(numbers) - 0.3, max(numbers) + 0.3, ticks)
    y = number_axis("", values, share=share)
    return Figure(
        name, title, x, y, tuple(marks), tuple(legend) if len(legend) > 1 else (), height=210, width=360,
        summary=f"{len(rounds)} rounds",
    )  # fmt: skip


def temperature_figure(record: Temperature, number: int) -> Figure:
    """Reward-Pass@k and pass@K over temperature, and the temperature that was chosen."""
    points = sorted(record.points, key=lambda one: one.temperature)
    marks: list[Mark] = []
    legend = []
    for label, colour, known in (
        (f"pass@{record.num_drawn}", "c1", [(one.temperature, one.pass_at_k) for one in points]),
        (f"Reward-Pass@{record.num_kept}", "c0", [(one.temperature, one.reward_pass) for one in points]),
    ):
        legend += [(label, colour)] if any(value is not None for _, value in known) else []
        for at, value in known:
            if value is not None:
                marks.append(Segment(at, value.low, at, value.high, colour))
                marks.append(Dot(at, value.value, colour, f"{label} {value.value:.3f} at {at:g}"))
    marks.append(Line(tuple((one.temperature, one.smoothed) for one in points), "c0", "smoothed"))
    marks.append(Segment(record.temperature, 0, record.temperature, 1, "solved", f"chosen: {record.temperature:g}"))
    legend.append((f"chosen {record.temperature:g} ({record.low:g} to {record.high:g})", "solved"))
    return Figure(
        name=f"temperature-{number}",
        title="Temperature",
        x=number_axis("temperature", [one.temperature for one in points] or [1.0]),
        y=number_axis("", [], share=True),
        marks=tuple(marks),
        legend=tuple(legend),
        height=230,
        width=360,
    )
