"""One problem of the page with all that became of it, as plain data for the page's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from anectl.core.errors import AnectlError
from anectl.core.jsonl import decode
from anectl.core.records import Anchor, Anchored, Completion, Example, Frontier, Problem, Record, Rollout, Score
from anectl.core.report.artifacts import Artifact, read_again
from anectl.core.report.choice import Chosen
from anectl.core.report.gathering import measured
from anectl.core.report.safe_text import Cut, cut, short
from anectl.core.report.store import Store
from anectl.core.report.thumbnails import Thumbnails

MOST_PLACES = 60
"""Rows of one problem that are looked at."""
_MOST_COMPLETIONS = 8
_MOST_DRAWS = 6
_MOST_SETS = 3
_MOST_ANCHORS = 8
_MOST_EXAMPLES = 8
_MOST_PARTS = 40

Text: TypeAlias = "str | Cut"
_KINDS: dict[str, type[Record]] = {"rollout": Rollout, "example": Example, "score": Score, "problem": Problem}


class Gallery:
    """Builds details from the rows of a store; `labels` name the series of scores by file, policy and level.

    No text is longer than `most` characters. Images go through `thumbnails`.
    """

    def __init__(
        self,
        store: Store,
        artifacts: Sequence[Artifact],
        labels: Mapping[tuple[int, str, int], str],
        thumbnails: Thumbnails,
        *,
        most: int,
        show_run: bool,
    ) -> None:
        self.store = store
        self.artifacts = artifacts
        self.labels = labels
        self.thumbnails = thumbnails
        self.most = most
        self.show_run = show_run
        self.changed: dict[str, None] = {}

    def detail(self, chosen: Chosen) -> dict[str, Any]:
        """All that the page says of a problem."""
        found: dict[str, Any] = {"name": chosen.name, "states": list(chosen.states), "draws": [], "anchors": []}
        found |= {"examples": [], "scores": []}
        for place in self.store.places(chosen.identity, chosen.digest, MOST_PLACES):
            artifact = self.artifacts[place.file]
            try:
                record = decode(read_again(artifact.path, place.offset, place.size), _KINDS[place.kind])
            except AnectlError:
                self.changed[artifact.path] = None
                continue
            where = self._where(artifact, place.line)
            if isinstance(record, Rollout):
                self._problem(found, record.problem, artifact)
                self._draws(found["draws"], record, where)
                if isinstance(record, Anchored) and len(found["anchors"]) < _MOST_SETS:
                    anchors = [self._anchor(anchor, artifact) for anchor in record.anchors[:_MOST_ANCHORS]]
                    found["anchors"].append({"where": where, "items": anchors})
            elif isinstance(record, Score):
                if record.problem is not None:
                    self._problem(found, record.problem, artifact)
                found.setdefault("benchmark", short(record.benchmark))
                found["scores"].append(self._score(record, artifact, where))
            elif isinstance(record, Example):
                if len(found["examples"]) < _MOST_EXAMPLES:
                    found["examples"].append(self._example(record, where))
            elif isinstance(record, Problem):
                self._problem(found, record, artifact)
        for draws in found["draws"]:
            del draws["mark"], draws["told"]
        found.setdefault("id", short(chosen.identity))
        found.setdefault("question", "")
        return found

    def _where(self, artifact: Artifact, line: int) -> str:
        run = f"{'AB'[artifact.run]}: " if self.show_run else ""
        return f"{run}{short(artifact.shown)}:{line}"

    def _text(self, text: str) -> Text:
        return cut(text, self.most)

    def _problem(self, found: dict[str, Any], problem: Problem, artifact: Artifact) -> None:
        if "question" in found:
            return
        family = problem.source.get("family")
        found |= {
            "id": short(problem.id),
            "question": self._text(problem.question),
            "answer": self._text(problem.answer),
            "type": problem.answer_type,
            "choices": [self._text(choice) for choice in (problem.choices or ())[:_MOST_PARTS]],
            "unit": short(problem.unit or ""),
            "images": [self.thumbnails.add(ref, artifact.path) for ref in problem.images[:_MOST_ANCHORS]],
            "tags": [short(tag, 60) for tag in problem.tags[:_MOST_PARTS]],
            "family": short(family, 60) if isinstance(family, str) else "",
            "solution": self._text(problem.solution or "\n".join(problem.steps or ())),
        }

    def _draws(self, held: list[dict[str, Any]], record: Rollout, where: str) -> None:
        """Files repeat the completions of one another: the same ones are shown once, with all that is known of them."""
        mark = hash((record.policy, tuple(completion.text for completion in record.completions)))
        same = next((draws for draws in held if draws["mark"] == mark), None)
        if same is None:
            if len(held) >= _MOST_DRAWS:
                return
            same = {"mark": mark, "also": []}
            held.append(same)
        else:
            same["also"].append(same["where"])
        values = measured(record)
        same |= {"where": where, "policy": short(record.policy), "temperature": record.sampling.temperature}
        same["revealed"] = record.sampling.reveal is not None
        if isinstance(record, Frontier) or "zone" not in same:
            same |= {"n": values.n, "c": values.c, "nulls": values.nulls, "zone": values.zone}
            same |= {"low": values.low, "high": values.high, "confidence": values.confidence}
        if isinstance(record, Frontier):
            same |= self._frontier_facts(record)
        told = sum(one.values is not None or one.step_scores is not None for one in record.completions)
        told += len(record.first_errors) if isinstance(record, Frontier) else 0
        if told > same.get("told", -1):
            same |= {"told": told, **self._completions(record)}

    def _frontier_facts(self, record: Frontier) -> dict[str, Any]:
        facts: dict[str, Any] = {"before": record.before, "fault": record.fault}
        if record.suspect is not None:
            one = record.suspect
            facts["suspect"] = f"{one.count} of {one.judged} agree on {short(one.answer)}"
        if record.certificate is not None:
            one_ = record.certificate
            solvable = "solvable" if one_.solvable else "not solved"
            facts["certificate"] = f"{solvable}: {one_.correct} of {one_.judged} right by {short(one_.by)}"
        return facts

    def _completions(self, record: Rollout) -> dict[str, Any]:
        first = {}
        if isinstance(record, Frontier):
            first = {one.completion: one for one in record.first_errors}
        groups: dict[tuple[Any, ...], list[int]] = {}
        for number, one in enumerate(record.completions):
            # What was looked into stands by itself.
            alone = number if one.values is not None or number in first else None
            groups.setdefault((one.text, one.correct, one.reason, alone), []).append(number)
        ordered = sorted(groups.values(), key=lambda group: (record.completions[group[0]].values is None, group[0]))
        shown = []
        for group in ordered[:_MOST_COMPLETIONS]:
            plain = self._completion(record.completions[group[0]]) | {"times": len(group), "number": group[0]}
            error = first.get(group[0])
            if error is not None:
                plain["first"] = {"step": error.step, "text": self._text(error.text), "drawn": error.num_continuations}
            shown.append(plain)
        return {"completions": shown, "more": sum(map(len, ordered[_MOST_COMPLETIONS:]))}

    def _completion(self, one: Completion) -> dict[str, Any]:
        plain: dict[str, Any] = {"text": self._text(one.text), "correct": one.correct, "reason": short(one.reason)}
        plain |= {"tokens": one.num_tokens, "finish": one.finish_reason}
        if one.extracted is not None:
            plain["extracted"] = short(one.extracted)
        if one.error is not None:
            plain["error"] = short(one.error)
        if one.steps is not None and (one.values is not None or one.step_scores is not None):
            plain["steps"] = [self._text(step) for step in one.steps[:_MOST_PARTS]]
            values = one.values or ()
            plain["values"] = [
                None if value is None else [value.correct, value.judged] for value in values[:_MOST_PARTS]
            ]
            plain["scores"] = [round(score, 3) for score in (one.step_scores or ())[:_MOST_PARTS]]
        return plain

    def _anchor(self, anchor: Anchor, artifact: Artifact) -> dict[str, Any]:
        why = anchor.why
        signals = {"text": why.text, "image": why.image, "joint": why.joint, "bm25": why.bm25, "skill": why.skill}
        problem = anchor.problem
        return {
            "id": short(anchor.id),
            "rank": anchor.rank,
            "score": round(anchor.score, 4),
            "tier": why.tier,
            "note": self._text(why.note),
            "signals": {
                name: [round(value, 4), why.ranks.get(name)] for name, value in signals.items() if value is not None
            },
            "question": self._text(problem.question),
            "answer": self._text(problem.answer),
            "solution": self._text("\n".join(problem.steps or ()) or problem.solution or ""),
            "images": [self.thumbnails.add(ref, artifact.path) for ref in problem.images[:2]],
        }

    def _example(self, record: Example, where: str) -> dict[str, Any]:
        scaffold = record.scaffold
        return {
            "where": where,
            "of": short(record.problem_id),
            "origin": short(record.origin),
            "level": scaffold.level,
            "carrier": scaffold.carrier,
            "template": short(scaffold.template),
            "leak": scaffold.leak,
            "ladder": [self._text(text) for text in scaffold.ladder],
            "sources": [short(source) for source in scaffold.sources],
            "notes": [short(note) for note in scaffold.notes[:_MOST_PARTS]],
            "target": self._text("\n".join(message.content for message in record.completion)),
        }

    def _score(self, record: Score, artifact: Artifact, where: str) -> dict[str, Any]:
        first = record.completions[0]
        verdicts = [one.correct for one in record.completions]
        return self._completion(first) | {
            "label": self.labels.get((artifact.number, record.policy, record.scaffold_level), short(record.policy)),
            "where": where,
            "profile": short(record.profile),
            "level": record.scaffold_level,
            "n": len(verdicts),
            "c": verdicts.count(True),
        }


def index_row(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What the list of problems needs of a detail: little, for it is read before the first problem is shown."""
    question = detail["question"]
    texts = [one for draws in detail["draws"] for one in draws["completions"]] or detail["scores"]
    draws = detail["draws"][-1] if detail["draws"] else None
    images = [image for image in detail.get("images", ()) if isinstance(image, int)]
    row = {
        "name": detail["name"],
        "states": detail["states"],
        "question": short(question if isinstance(question, str) else question.head, 120),
        "family": detail.get("family", ""),
        "benchmark": detail.get("benchmark", ""),
        "tags": detail.get("tags", []),
        "image": images[0] if images else None,
        "tokens": max((one["tokens"] for one in texts), default=0),
    }
    if draws is not None:
        row |= {"n": draws["n"], "c": draws["c"], "low": round(draws["low"], 3), "high": round(draws["high"], 3)}
    else:
        row |= {"marks": [[score["c"], score["n"]] for score in detail["scores"][:12]]}
    return row
