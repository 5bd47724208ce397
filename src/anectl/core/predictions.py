"""Completions that were drawn elsewhere or before, found by the id of their problem, in memory that does not grow.

A row may be a rollout, a score, a line of a batch API's output, or any object with an id and a text. Rows are kept in
an anonymous database on disk (in TMPDIR) which goes when the store is closed or the program ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from anectl.core.errors import RowError
from anectl.core.jsonl import decode, parse_object, read_lines
from anectl.core.records import Completion, FinishReason, Rollout, Sampling, Score
from anectl.core.scratch import no_room, open_scratch

ID_FIELDS = ("problem_id", "id", "custom_id", "doc_id", "index", "question_id", "pid", "qid", "sample_index", "ID")
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


class Prediction(NamedTuple):
    """The completions of one problem; `benchmark` is empty and `sampling` null where the row does not say."""

    problem_id: str
    benchmark: str
    policy: str
    sampling: Sampling | None
    scaffold_level: int
    completions: tuple[Completion, ...]


class PredictionStore:
    """Context manager: `add` the rows of files, then `find` them by benchmark and id."""

    def __init__(self, *, id_field: str | None = None, text_field: str | None = None) -> None:
        self.num_rows = 0
        self._ids = (id_field,) if id_field else ID_FIELDS
        self._texts = (text_field,) if text_field else TEXT_FIELDS
        self._database = open_scratch(
            "predictions (benchmark TEXT, id TEXT, place TEXT, data BLOB, used INTEGER DEFAULT 0, "
            "PRIMARY KEY (benchmark, id)) WITHOUT ROWID"
        )

    def read(self, path: str) -> None:
        """Add all rows of a file. Raises AnectlError with file and line for a bad row or a second one of a problem."""
        for line in read_lines(path):
            try:
                self.add(prediction_of(line.data, self._ids, self._texts), f"{line.path}:{line.number}")
            except RowError as error:
                raise error.at(line.path, line.number) from None

    def add(self, prediction: Prediction, place: str) -> None:
        """Add one; the same completions under another scoring profile are passed over. Raises RowError for others."""
        key = prediction.benchmark, prediction.problem_id
        data = msgspec.json.encode(prediction._replace(completions=tuple(map(_bare, prediction.completions))))
        try:
            self._database.execute(
                "INSERT INTO predictions (benchmark, id, place, data) VALUES (?, ?, ?, ?)", (*key, place, data)
            )
        except sqlite3.IntegrityError:
            query = "SELECT place, data FROM predictions WHERE benchmark = ? AND id = ?"
            first, known = self._database.execute(query, key).fetchone()
            if known != data:
                raise RowError(f"problem {prediction.problem_id!r} has other completions at {first}") from None
            return
        except sqlite3.OperationalError as error:
            raise no_room(error) from None
        self.num_rows += 1

    def find(self, benchmark: str, problem_id: str) -> Prediction:
        """The completions of a problem; a row that names no benchmark serves any.

        Raises RowError when there are none.
        """
        for name in (benchmark, ""):
            query = "SELECT data FROM predictions WHERE benchmark = ? AND id = ?"
            found = self._database.execute(query, (name, problem_id)).fetchone()
            if found is not None:
                mark = "UPDATE predictions SET used = 1 WHERE benchmark = ? AND id = ?"
                self._database.execute(mark, (name, problem_id))
                return msgspec.json.decode(found[0], type=Prediction)
        raise RowError(
            f"no prediction for problem {problem_id!r} of benchmark {benchmark!r}",
            hint="a benchmark is named by its file's stem; --id-field says which field of a prediction is the id",
        )

    def num_unused(self) -> int:
        """How many predictions no problem asked for."""
        return int(self._database.execute("SELECT COUNT(*) FROM predictions WHERE used = 0").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()


def _bare(completion: Completion) -> Completion:
    """Without any grade: only what was drawn counts."""
    return msgspec.structs.replace(completion, extracted=None, correct=None, reason="", chance=None, judge=None)


def prediction_of(
    data: bytes, id_fields: Iterable[str] = ID_FIELDS, text_fields: Iterable[str] = TEXT_FIELDS
) -> Prediction:
    """The prediction in one line of a file. Raises RowError: no id, no text, or not of the right types."""
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
    key = next((row[name] for name in id_fields if row.get(name) is not None), None)
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        raise RowError(f"a prediction without an id ({', '.join(id_fields)})", hint="--id-field names another field")
    if isinstance(row.get("response"), dict):  # a line of a batch API's output
        return _prediction(str(key), list(_batch_texts(row["response"])), row)
    value = next((row[name] for name in text_fields if row.get(name) is not None), None)
    return _prediction(str(key), [(text, "stop") for text in _texts(value, text_fields)], row)


def _prediction(key: str, texts: list[tuple[str, FinishReason]], row: Mapping[str, Any]) -> Prediction:
    if not texts:
        raise RowError("a prediction without a completion")
    completions = tuple(Completion(text=text, finish_reason=reason) for text, reason in texts)
    policy = row.get("model") or row.get("policy")
    return Prediction(key, "", policy if isinstance(policy, str) else "", None, 0, completions)


def _texts(value: Any, fields: Iterable[str]) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return [value["text"]]
    if isinstance(value, list) and value:
        return [text for item in value for text in _texts(item, fields)]
    raise RowError(f"a prediction without a text ({', '.join(fields)})", hint="--text-field names another field")


def _batch_texts(response: Mapping[str, Any]) -> Iterator[tuple[str, FinishReason]]:
    choices = (response.get("body") or {}).get("choices") if isinstance(response.get("body"), dict) else None
    if not isinstance(choices, list):
        raise RowError("a batch response without choices: the request failed", hint="run the failed requests again")
    for choice in choices:
        text = choice.get("message", {}).get("content") if isinstance(choice, dict) else None
        if not isinstance(text, str):
            raise RowError("a choice of the batch response has no text")
        yield text, "length" if choice.get("finish_reason") == "length" else "stop"
