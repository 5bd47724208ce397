"""The parts of the page that need no script: what was found, evaluation, frontier, training, rounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from anectl.core.accuracy import MEAN, Accuracy
from anectl.core.report.eval_view import Scored, Test, benchmarks_of, interval_of
from anectl.core.report.figure_svg import svg
from anectl.core.report.figures import Figure
from anectl.core.report.frontier_view import WORST_FIRST, Movement
from anectl.core.report.markup import Content, Markup, tag
from anectl.core.report.safe_text import short

_MOST_FLIPS = 300
_MORE = ("policy", "benchmarks", "null", "upper bound", "cut", "pass@k", "pass^k", "maj@k")
Names = Mapping[tuple[str, str], str]
"""What links call a problem, by benchmark and id."""


def section(identity: str, title: str, *content: Content, note: str = "") -> Markup:
    """A part of the page that the menu leads to."""
    heading = tag("h2", title, id=f"{identity}-title")
    return tag(
        "section", heading, tag("p", note, class_="note") if note else None, content, id=identity,
        aria_labelledby=f"{identity}-title",
    )  # fmt: skip


def table(
    head: Sequence[Content], rows: Iterable[Sequence[Content]], *, caption: str, numbers_from: int = 1, class_: str = ""
) -> Markup:
    """A table; columns from `numbers_from` on are numbers. It scrolls by itself where it is too wide."""

    def cells(row: Sequence[Content], name: str) -> Iterator[Markup]:
        for place, content in enumerate(row):
            number = "n" if place >= numbers_from else None
            first = place == 0 and name == "td"
            yield tag("th" if first else name, content, class_=number, scope="row" if first else None)

    body = [tag("tr", cells(row, "td")) for row in rows]
    heading = tag("thead", tag("tr", cells(head, "th")))
    inside = tag("table", tag("caption", caption), heading, tag("tbody", body))
    return tag("div", inside, class_=f"scroll {class_}".strip(), tabindex=0, role="region", aria_label=caption)


def figures_grid(figures: Sequence[Figure]) -> Markup:
    """Figures beside each other, as many as fit."""
    wide = any(figure.width > 400 for figure in figures)
    return tag("div", [tag("figure", svg(figure)) for figure in figures], class_="grid wide" if wide else "grid")


def percent(value: float) -> str:
    """A share in percent, to a tenth."""
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def p_text(value: float | None) -> str:
    """A p-value; empty for none."""
    return "" if value is None else "< 1e-10" if value < 1e-10 else f"{value:.2g}"


def evaluation(columns: Sequence[Scored], figures: Sequence[Figure], tests: Content) -> Markup:
    """The table of accuracies, for each profile, with figures and tests."""
    parts: list[Content] = []
    for profile in dict.fromkeys(column.profile for column in columns):
        shown = [column for column in columns if column.profile == profile]
        head = ["benchmark", "problems", *(column.series.label for column in shown)]
        rows = [_accuracy_row(name, shown) for name in benchmarks_of(shown)]
        parts.append(
            table(
                head, rows, caption=f"Accuracy in %, profile {profile}; 95% interval by images, ≤ upper bound by nulls"
            )
        )
        parts.append(_bounds(shown, profile))
    return section("evaluation", "Evaluation", parts, figures_grid(figures), tests)


def _accuracy_row(name: str, shown: Sequence[Scored]) -> list[Content]:
    found = [column.rows.get(name) for column in shown]
    best = max((one.accuracy for one in found if one is not None), default=0.0)
    counts = sorted({one.num_problems for one in found if one is not None})
    problems = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [name, problems, *(_accuracy_cell(one, best) for one in found)]


def _accuracy_cell(one: Accuracy | None, best: float) -> Content:
    if one is None:
        return ""
    low, high = interval_of(one)
    value = tag("b" if one.accuracy == best else "span", percent(one.accuracy))
    bound = f" ≤ {percent(one.upper_bound)}" if one.null_rate else ""
    return [value, tag("span", f" {percent(low)}–{percent(high)}{bound}", class_="ci")]


def _bounds(shown: Sequence[Scored], profile: str) -> Markup | None:
    """The figures besides accuracy; columns in which no policy has any are left out, and the table where all are."""
    rows = [row for row in map(_more_row, shown) if any(row[2:])]
    kept = [place for place in range(2, len(_MORE)) if any(row[place] for row in rows)]
    if not kept:
        return None
    cells = [[row[place] for place in (0, 1, *kept)] for row in rows]
    head = [_MORE[place] for place in (0, 1, *kept)]
    return table(head, cells, caption=f"Bounds by nulls, cuts and samples, profile {profile}, means in %")


def _more_row(column: Scored) -> list[Content]:
    rows = column.rows
    one = rows[MEAN] if MEAN in rows else next(iter(rows.values()))
    last_pass = max(one.pass_at, default=None)
    last_all = max(one.pass_all, default=None)
    return [
        column.series.label,
        str(len(rows) - (MEAN in rows)),
        percent(one.null_rate) if one.null_rate else "",
        percent(one.upper_bound) if one.null_rate else "",
        percent(one.truncation_rate) if one.truncation_rate else "",
        "" if last_pass is None else f"@{last_pass}: {percent(one.pass_at[last_pass])}",
        "" if last_all is None else f"^{last_all}: {percent(one.pass_all[last_all])}",
        "" if one.majority is None else percent(one.majority),
    ]


def paired_tests(found: Sequence[Test], names: Names) -> Markup:
    """The comparisons as tables, and the flips of each both ways with links to the problems."""
    groups: dict[tuple[int, int, str], list[Test]] = {}
    for test in found:
        groups.setdefault((test.baseline.number, test.series.number, test.comparison.profile), []).append(test)
    head = [
        "benchmark",
        "problems",
        "a",
        "b",
        "b − a",
        "95% interval",
        "by nulls",
        "McNemar p",
        "Holm p",
        "gained",
        "lost",
    ]
    parts: list[Content] = []
    for tests in groups.values():
        one = tests[0]
        title = f"{one.series.label} (b) against {one.baseline.label} (a)"
        shown = tests[:1] if len(tests) == 2 else tests
        unpaired = tests[-1].unpaired
        note = f"{unpaired} problems that only one of the two has are left out." if unpaired else ""
        parts.append(
            tag(
                "details",
                tag("summary", title, " ", tag("span", verdict(tests[-1]), class_="verdict")),
                tag("p", note, class_="note") if note else None,
                table(head, [_test_row(test) for test in shown], caption=title),
                [_flips(test, names) for test in tests if test.comparison.benchmark != MEAN],
            )
        )
    note = "Paired by problem: bootstrap over images, exact McNemar test, Holm over all tests of this page."
    return Markup(
        tag("h3", "Paired tests") + tag("p", note, class_="note") + "".join(tag("div", part) for part in parts)
    )


def verdict(test: Test) -> str:
    """The difference with its interval and the p-value, in words."""
    row = test.comparison
    return f"{points(row.difference)} points ({points(row.low)} to {points(row.high)}), p {p_text(row.p_value)}"


def _test_row(test: Test) -> list[Content]:
    row = test.comparison
    bounds = ""
    if row.lower_bound is not None and row.upper_bound is not None and row.lower_bound != row.upper_bound:
        bounds = f"{points(row.lower_bound)} to {points(row.upper_bound)}"
    sure = "sure" if row.low > 0 or row.high < 0 else "unsure-difference"
    return [
        row.benchmark,
        str(row.num_problems),
        percent(row.accuracy_a),
        percent(row.accuracy_b),
        tag("span", points(row.difference), class_=sure),
        f"{points(row.low)} to {points(row.high)}",
        bounds,
        p_text(row.p_value),
        p_text(row.p_holm),
        str(len(row.gained)),
        str(len(row.lost)),
    ]


def _flips(test: Test, names: Names) -> Markup:
    row = test.comparison
    lines = []
    for word, identities in (("gained", row.gained), ("lost", row.lost)):
        if identities:
            links = [
                problem_link(identity, names.get((row.benchmark, identity))) for identity in identities[:_MOST_FLIPS]
            ]
            left = len(identities) - _MOST_FLIPS
            more = f" and {left} more" if left > 0 else ""
            lines.append(tag("p", tag("b", f"{row.benchmark}, {word} {len(identities)}: "), spaced(links), more))
    return tag("div", lines, class_="flips")


def spaced(parts: Iterable[Content]) -> Iterator[Content]:
    """The parts with a space between each two."""
    for place, part in enumerate(parts):
        if place:
            yield " "
        yield part


def problem_link(identity: str, name: str | None) -> Markup:
    """A link to a problem of the gallery, or its id alone where the page does not show it."""
    text = short(identity, 60)
    return tag("span", text, class_="id") if name is None else tag("a", text, href=f"#p={quote(name)}", class_="id")


def frontier(figures: Sequence[Figure], moved: Sequence[Movement], note: str) -> Markup:
    """The maps of the frontier, and the tables of what moved."""
    return section("frontier", "Frontier", figures_grid(figures), [_movement(one) for one in moved], note=note)


def _movement(one: Movement) -> Markup:
    title = f"From {one.before.label} to {one.after.label}: {one.problems} problems"
    head = ["before \\ after", *WORST_FIRST, "all"]
    rows: list[list[Content]] = []
    for old in WORST_FIRST:
        counts = [one.counts.get((old, new), 0) for new in WORST_FIRST]
        cells = [
            tag("span", count, class_="stay" if old == new else None) if count else ""
            for new, count in zip(WORST_FIRST, counts, strict=True)
        ]
        rows.append([old, *cells, str(sum(counts))])
    rows.append(
        [
            "all",
            *(str(sum(one.counts.get((old, new), 0) for old in WORST_FIRST)) for new in WORST_FIRST),
            str(one.problems),
        ]
    )
    words = (
        f"{one.shift(True)} moved to a better zone, {one.shift(False)} to a worse one; "
        f"mean pass rate {percent(one.rates[0])} to {percent(one.rates[1])}."
    )
    return tag(
        "div", tag("h3", "Movement"), table(head, rows, caption=title, class_="narrow"), tag("p", words, class_="note")
    )


def training(logs: Sequence[tuple[str, str, Sequence[Figure]]]) -> Markup:
    """The curves of each training run under its name, and what its result says."""
    parts = [
        tag("div", tag("h3", name), tag("p", facts, class_="note"), figures_grid(figures))
        for name, facts, figures in logs
    ]
    return section("training", "Training", parts)


def rounds(figures: Sequence[Figure], rows: Sequence[Sequence[Content]], notes: Content) -> Markup:
    """The ledger of rounds, as figures and as a table."""
    head = [
        "round",
        "policy",
        "temperature",
        "problems",
        "pass rate",
        "pass@K",
        "greedy",
        "gap",
        "Reward-Pass",
        "surprisal",
        "tokens",
        "cut",
    ]
    ledger = (
        table(head, rows, caption="Ledger of rounds; shares in % with 95% intervals", numbers_from=2) if rows else None
    )
    return section("rounds", "Rounds", figures_grid(figures), ledger, notes)
