"""The prediction in a row of any tool: a rollout, a score, a batch API's output, or an object with an id and a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from anectl.core.errors import RowError
from anectl.core.jsonl import decode, parse_object
from anectl.core.records import Completion, FinishReason, Rollout, Sampling, Score

# `custom_id` comes before `id`, which a batch API gives each of its answers; `doc_id` only counts the rows of a run.
ID_FIELDS = ("problem_id", "custom_id", "id", "index", "question_id", "pid", "qid", "sample_index", "ID", "doc_id")
TEXT_FIELDS = (
    "completions",
    "prediction",
    "predictions",
    "response",
    "responses",
    "filtered_resps",
    "resps",
    "output",
    "outputs",
    "completion",
    "generated_text",
    "model_answer",
    "text",
)
_MAX_ERROR = 300


class Prediction(NamedTuple):
    """The completions of one problem; `benchmark` is empty and `sampling` null where the row does not say.

    `named` has every field of the row that may be an id, with its value: benchmarks have ids of their own.
    """

    problem_id: str
    benchmark: str
    policy: str
    sampling: Sampling | None
    scaffold_level: int
    completions: tuple[Completion, ...]
    named: dict[str, str] = {}  # noqa: RUF012 - never changed


def prediction_of(
    data: bytes, id_fields: Iterable[str] = ID_FIELDS, text_fields: Iterable[str] = TEXT_FIELDS
) -> Prediction:
    """The prediction in one line of a file. Raises RowError: no id, no text, or not of the right types.

    A request that failed is a completion of finish reason `error`: its problem was asked and is not answered.
    """
    row = parse_object(data)
    tag = str(row.get("schema", "")).partition("/")[0]
    if tag == "score":
        score = decode(data, Score)
        return Prediction(
            score.problem_id,
            score.benchmark,
            score.policy,
            score.sampling,
            score.scaffold_level,
            score.completions,
        )
    if tag in ("rollout", "frontier", "anchored"):
        rollout = decode(data, Rollout)
        return Prediction(rollout.problem.id, "", rollout.policy, rollout.sampling, 0, rollout.completions)
    named = _named(row, id_fields)
    if not named:
        raise RowError(f"a prediction without an id ({', '.join(id_fields)})", hint="--id-field names another field")
    completions = tuple(_completions(row, text_fields))
    if not completions:
        raise RowError("a prediction without a completion")
    policy = row.get("model") or row.get("policy")
    return Prediction(
        next(iter(named.values())), "", policy if isinstance(policy, str) else "", None, 0, completions, named
    )


def _named(row: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    """The ids in a row; lmms-eval keeps the fields of the benchmark under `doc`."""
    doc = row.get("doc")
    found: dict[str, str] = {}
    for name in fields:
        for place in (row, doc if isinstance(doc, dict) else {}):
            value = place.get(name)
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                found.setdefault(name, str(value))
    return found


def _completions(row: Mapping[str, Any], fields: Iterable[str]) -> Iterator[Completion]:
    response = row.get("response")
    if isinstance(response, dict) or ("custom_id" in row and row.get("error")):  # a line of a batch API's output
        yield from _batch_completions(response if isinstance(response, dict) else {}, row.get("error"))
        return
    value = next((row[name] for name in fields if row.get(name) is not None), None)
    for text in _texts(value, fields):
        yield Completion(text=text, finish_reason="stop")


def _texts(value: Any, fields: Iterable[str]) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return [value["text"]]
    if isinstance(value, list) and value:
        return [text for item in value for text in _texts(item, fields)]
    raise RowError(f"a prediction without a text ({', '.join(fields)})", hint="--text-field names another field")


def _batch_completions(response: Mapping[str, Any], error: Any) -> Iterator[Completion]:
    body = response.get("body")
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        problem = f"HTTP {response.get('status_code')}: {error or body}"[:_MAX_ERROR]
        yield Completion(text="", finish_reason="error", error=problem)
        return
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        text = message.get("content") if isinstance(message, dict) else None
        reason: FinishReason = (
            "length" if isinstance(choice, dict) and choice.get("finish_reason") == "length" else "stop"
        )
        # A server that parses thoughts out has nothing left of a completion that was cut while thinking.
        if text is None and reason == "length":
            text = ""
        if not isinstance(text, str):
            raise RowError("a choice of the batch response has no text")
        yield Completion(text=text, finish_reason=reason)
