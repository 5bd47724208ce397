"""The life of one problem in plain words: what each row that tells of it says, in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anectl.core.records import (
    Anchored,
    Certificate,
    Comparison,
    Disagreement,
    Example,
    FirstError,
    Frontier,
    Problem,
    Reject,
    Rollout,
    Score,
    Suspect,
    Why,
)
from anectl.core.trace_parts import (
    TONES,
    VERDICTS,
    Entry,
    ImageFacts,
    Part,
    of_completion,
    of_completions,
    of_problem,
    quoted,
)
from anectl.core.tracing import Found

_MAX_SERVICES = 20


def story(found: Sequence[Found], image_facts: ImageFacts) -> Iterator[Part]:
    """One part for each row, and one for all problems that this one is an anchor of.

    The problem comes first, from the first row that holds it where it has none of its own. Completions are told of
    once: the rows of frontiers and anchors repeat those of the rollout.
    """
    own = [one for one in found if isinstance(one.record, Problem)]
    first = next(iter(own), None) or next((one for one in found if _problem_in(one) is not None), None)
    problem = _problem_in(first) if first is not None else None
    if first is not None and problem is not None:
        yield Part("problem", _place(first), tuple(of_problem(problem, first.sighting.path, image_facts)))
    services = [one for one in found if one.sighting.role == "anchor"]
    drawn_told = False
    for one in found:
        record, place = one.record, _place(one)
        if one.sighting.role == "anchor" or (one is first and isinstance(record, Problem)):
            continue
        if isinstance(record, Rollout):
            if record.completions and (type(record) is Rollout or not drawn_told):
                drawn_told = True
                yield Part("rollouts", place, tuple(_of_rollout(record)))
            if isinstance(record, Frontier):
                title = "anchors" if isinstance(record, Anchored) else "frontier"
                yield Part(title, place, tuple(_of_frontier(record)))
        else:
            title, entries = _of_other(one, problem)
            yield Part(title, place, tuple(entries))
    if services:
        yield Part("anchor for others", f"{len(services)} rows", tuple(_of_services(services)))


def _place(found: Found) -> str:
    sighting = found.sighting
    by = f", by {sighting.command}" if sighting.command else ""
    at = f", {sighting.finished}" if sighting.finished else ""
    return f"{sighting.path}:{sighting.line}{by}{at}"


def _problem_in(found: Found) -> Problem | None:
    if found.sighting.role != "itself":
        return None
    if isinstance(found.record, Problem):
        return found.record
    return found.record.problem if isinstance(found.record, (Rollout, Score)) else None


def _of_rollout(row: Rollout) -> Iterator[Entry]:
    sampling = row.sampling
    told = f", told the answer by {sampling.reveal!r}" if sampling.reveal else ""
    yield Entry(
        "drawn",
        f"{len(row.completions)} completions of {row.policy} at temperature {sampling.temperature:g}, "
        f"seed {sampling.seed}, graded by {row.profile}{told}",
    )
    yield from of_completions(row.completions)


def _of_frontier(row: Frontier) -> Iterator[Entry]:
    posterior = row.posterior
    before = f"; {row.before} in the round before" if row.before else ""
    fault = f"; most failures are of {row.fault}" if row.fault else ""
    yield Entry("zone", f"{row.zone}{before}{fault}", "bad" if row.zone == "failing" else "plain")
    yield Entry(
        "posterior",
        f"pass rate in [{posterior.low:.2f}, {posterior.high:.2f}], Beta({posterior.a:g}, {posterior.b:g}); "
        f"{row.zone} by {posterior.confidence:.0%}",
    )
    yield from _of_doubts(row.certificate, row.suspect)
    for error in row.first_errors:
        yield _of_first_error(error, row)
    if isinstance(row, Anchored):
        for anchor in row.anchors:
            problem = anchor.problem
            head = f"{anchor.id}, score {anchor.score:.4g}{_why(anchor.why)}"
            yield Entry(f"anchor {anchor.rank}", f"{head}\n{problem.question}\nanswer {problem.answer}")
        if not row.anchors:
            yield Entry("anchors", "none", "faint")


def _of_doubts(certificate: Certificate | None, suspect: Suspect | None) -> Iterator[Entry]:
    if certificate is not None:
        can = "can" if certificate.solvable else "cannot"
        by = f"{certificate.by} had {certificate.correct} of {certificate.judged} right"
        yield Entry("certificate", f"{can} be solved: {by}")
    if suspect is not None:
        agreed = f"{suspect.count} of {suspect.judged} completions agree on {suspect.answer!r}"
        yield Entry("suspect", f"{agreed}: is the label right?", "bad")


def _of_first_error(error: FirstError, row: Frontier) -> Entry:
    completion = row.completions[error.completion] if error.completion < len(row.completions) else None
    known = completion.values or () if completion else ()
    values = ["?" if value is None else f"{value.correct}/{value.judged}" for value in known]
    after = f"\nright continuations after each step: {' '.join(values)}" if values else ""
    drawn = f"{error.num_continuations} continuations"
    if error.step is None:
        return Entry("first error", f"of [{error.completion}]: no step makes the difference, by {drawn}{after}")
    of = f" of {len(completion.steps)}" if completion and completion.steps else ""
    head = f"of [{error.completion}]: step {error.step + 1}{of}, by {drawn}"
    return Entry("first error", f"{head}\n{error.text}{after}", "bad")


def _why(why: Why) -> str:
    names = ("text", "image", "joint", "bm25", "skill")
    known = [f"{name} {value:.3g}" for name in names if (value := getattr(why, name)) is not None]
    # The note has the ranks in it.
    ranks = [] if why.note else [f"{name} #{rank}" for name, rank in why.ranks.items()]
    tier = f", tier {why.tier}" if why.tier else ""
    note = f"\nwhy: {why.note}" if why.note else ""
    return tier + "".join(f"; {', '.join(part)}" for part in (known, ranks) if part) + note


def _of_services(services: Sequence[Found]) -> Iterator[Entry]:
    for one in services[:_MAX_SERVICES]:
        row, sighting = one.sighting.row, one.sighting
        words = f"{sighting.other}: rank {row.get('rank')}, score {row.get('score')}"
        yield Entry("for", f"{words} ({sighting.path}:{sighting.line})")
    if len(services) > _MAX_SERVICES:
        yield Entry("", f"and {len(services) - _MAX_SERVICES} more; --json lists them all", "faint")


def _of_copy(copy: Problem, first: Problem | None) -> Iterator[Entry]:
    """A further row of the problem: what it has otherwise than the first."""
    names = ("question", "images", "answer", "answer_type", "choices", "precision", "unit", "solution", "steps", "tags")
    other = [name for name in names if first is not None and getattr(copy, name) != getattr(first, name)]
    yield Entry(
        "again", f"with another {', another '.join(other)}" if other else "the same", "bad" if other else "faint"
    )


def _of_other(found: Found, problem: Problem | None) -> tuple[str, Iterator[Entry]]:
    record = found.record
    if isinstance(record, Problem):
        return "problem", _of_copy(record, problem)
    if isinstance(record, Example):
        return "example", _of_example(record)
    if isinstance(record, Score):
        return "score", _of_score(record)
    if isinstance(record, Disagreement):
        return "disagreement of profiles", _of_disagreement(record)
    if isinstance(record, Comparison):
        return "flip", _of_flip(record, str(found.sighting.row.get("flip")))
    if isinstance(record, Reject):
        return "reject", _of_reject(record, found)
    return found.sighting.kind, iter(())


def _of_example(row: Example) -> Iterator[Entry]:
    scaffold = row.scaffold
    made_for = f", made for {row.frontier_id}" if row.frontier_id else ""
    yield Entry("made from", f"{row.origin}, problem {row.problem_id}{made_for}")
    leak = ", LEAKS the answer" if scaffold.leak else ""
    anchors = f", from {', '.join(scaffold.anchor_ids)}" if scaffold.anchor_ids else ""
    yield Entry(
        "scaffold", f"level {scaffold.level} in the {scaffold.carrier}{anchors}{leak}\n{scaffold.text}".rstrip()
    )
    for level, source in enumerate(scaffold.sources):
        if level == scaffold.level and source:
            yield Entry("source", source, "faint")
    if row.writing is not None:
        nll = "" if row.writing.nll is None else f", NLL {row.writing.nll:.3f} a token"
        fallback = f", instead of what was asked for: {row.writing.fallback}" if row.writing.fallback else ""
        yield Entry("target by", f"{row.writing.kind}{nll}{fallback}")
    yield Entry("target", "\n".join(message.content for message in row.completion))


def _of_score(row: Score) -> Iterator[Entry]:
    level = f", scaffold level {row.scaffold_level}" if row.scaffold_level else ""
    yield Entry("scored", f"{row.benchmark}: {row.policy}, profile {row.profile}{level}")
    if len(row.completions) == 1:
        yield of_completion("completion", row.completions[0], row.completions)
    elif row.completions:
        yield from of_completions(row.completions)


def _of_disagreement(row: Disagreement) -> Iterator[Entry]:
    yield Entry("completion", f"{row.benchmark}, [{row.sample}]\n{row.text}")
    for grade in row.grades:
        graded = f"{VERDICTS[grade.correct]} ({grade.reason}), answer {quoted(grade.extracted)}"
        yield Entry(grade.profile, graded, TONES[grade.correct])


def _of_flip(row: Comparison, flip: str) -> Iterator[Entry]:
    words = f"{row.benchmark}, profile {row.profile}: {flip} in {row.path_b} against {row.path_a}"
    yield Entry("flip", words, "good" if flip == "gained" else "bad")


def _of_reject(row: Reject, found: Found) -> Iterator[Entry]:
    yield Entry("rejected", f"{row.path}:{row.line}: {row.problem}", "bad")
    if row.hint:
        yield Entry("hint", row.hint)
    if row.match is not None:
        yield Entry("matches", f"{row.match.id} at {row.match.path}:{row.match.line}")
    if found.sighting.role == "match":
        yield Entry("whose", f"the rejected row is problem {found.sighting.other}")
