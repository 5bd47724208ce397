"""The records that flow between commands: one JSON object a line, frozen and typed.

Unknown fields are kept on the way through (`extra`), unknown versions are refused, and facts are stored while
derived values (pass rate, advantage) are computed where they are needed. `docs/records.md` is generated from here.
"""

from __future__ import annotations

from anectl.core.records.base import (
    EXTRA,
    AnswerType,
    Carrier,
    Count,
    Fault,
    FinishReason,
    Name,
    Record,
    Signal,
    Tier,
    Zone,
)
from anectl.core.records.problems import (
    Anchor,
    Anchored,
    Certificate,
    Completion,
    FirstError,
    Frontier,
    Posterior,
    Problem,
    Rollout,
    Sampling,
    StepValue,
    Suspect,
    Why,
)
from anectl.core.records.scores import Comparison, Disagreement, Match, ProfileGrade, Reject, Score
from anectl.core.records.training import Example, Message, Result, Scaffold

__all__ = [
    "EXTRA",
    "RECORDS",
    "Anchor",
    "Anchored",
    "AnswerType",
    "Carrier",
    "Certificate",
    "Comparison",
    "Completion",
    "Count",
    "Disagreement",
    "Example",
    "Fault",
    "FinishReason",
    "FirstError",
    "Frontier",
    "Match",
    "Message",
    "Name",
    "Posterior",
    "Problem",
    "ProfileGrade",
    "Record",
    "Reject",
    "Result",
    "Rollout",
    "Sampling",
    "Scaffold",
    "Score",
    "Signal",
    "StepValue",
    "Suspect",
    "Tier",
    "Why",
    "Zone",
]

RECORDS: dict[str, type[Record]] = {
    "problem": Problem,
    "rollout": Rollout,
    "frontier": Frontier,
    "anchored": Anchored,
    "example": Example,
    "score": Score,
    "comparison": Comparison,
    "result": Result,
    "reject": Reject,
    "disagreement": Disagreement,
}
