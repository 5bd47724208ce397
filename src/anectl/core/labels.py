"""What locate-frontier adds to a problem besides its zone: certificate, suspect label, fault, and the zone before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from anectl.core.certificates import Trials, certificate_of
from anectl.core.drift import Drift
from anectl.core.faults import fault_of
from anectl.core.jsonl import encode
from anectl.core.records import Certificate, Record, Rollout
from anectl.core.suspects import Kin, suspect_of
from anectl.core.zones import Tally

_ENCODER = msgspec.json.Encoder()


class Labels:
    """The labels that were asked for, and how many problems got which.

    `kin` asks for `suspect` and `fault`, `trials` for certificates, `drift` for the zone before. `share` is what one
    wrong answer needs of the judged completions, `kin_rate` the pass rate of kin that makes it suspect. Only failing
    problems are looked into, and unsure ones of which most completions could not be judged.
    """

    def __init__(
        self, *, kin: Kin | None, share: float, kin_rate: float, trials: Trials | None, drift: Drift | None
    ) -> None:
        self.kin, self.trials, self.drift = kin, trials, drift
        self._share, self._kin_rate = share, kin_rate
        self._counts: Counter[str] = Counter()
        asked = {"certificate": trials, "suspect": kin, "fault": kin, "before": drift}
        self.names = tuple(name for name, value in asked.items() if value is not None)
        """The fields that these labels decide on; what a row had there before no longer counts."""

    def of(self, id: str, tally: Tally, read: Callable[[], Rollout]) -> dict[str, Any]:
        """The values of the fields that are not null; `read` gives the problem with all its completions."""
        found: dict[str, Any] = {}
        if self.drift is not None:
            found["before"] = self.drift.enter(id, tally.zone)
        if tally.zone == "failing" and (self.kin is not None or self.trials is not None):
            found |= self._of_failing(tally, read())
        elif self.kin is not None and tally.zone == "unsure" and tally.unjudged > tally.correct + tally.wrong:
            row = read()
            found["fault"] = fault_of(row.problem, row.completions)
        found = {name: value for name, value in found.items() if value is not None}
        self._counts.update(map(_name_of, found.items()))
        return found

    def _of_failing(self, tally: Tally, row: Rollout) -> dict[str, Any]:
        found: dict[str, Any] = {}
        problem, judged = row.problem, tally.correct + tally.wrong
        dominant = suspect_of(problem, row.completions, self._share)
        if self.kin is not None:
            rate = self.kin.pass_rate(problem, tally.correct, judged)
            found["suspect"] = dominant if rate is None or rate >= self._kin_rate else None
            found["fault"] = fault_of(problem, row.completions)
        if self.trials is not None:
            found["certificate"] = certificate_of(problem, tally.correct, judged, dominant, self.trials.of(row))
        return found

    def facts(self) -> dict[str, Any]:
        """For the manifest: how many problems got which label, and who crossed zones."""
        facts: dict[str, Any] = {"labels": dict(sorted(self._counts.items()))} if self.names else {}
        if self.drift is not None:
            facts["drift"] = self.drift.facts()
        return facts

    def sentences(self) -> list[str]:
        """The same for the log."""
        said = [", ".join(f"{number} {name}" for name, number in sorted(self._counts.items()))]
        if self.drift is not None:
            said.append(self.drift.summary())
        if self.trials is not None and (unused := self.trials.num_unused()):
            said.append(f"{unused} problems of the certificates are not among the failing")
        return [sentence for sentence in said if sentence]


def encoded(labels: dict[str, Any]) -> dict[str, msgspec.Raw]:
    """The labels as JSON."""
    return {
        name: msgspec.Raw(encode(value).strip() if isinstance(value, Record) else _ENCODER.encode(value))
        for name, value in labels.items()
    }


def is_unsolvable(labels: dict[str, Any]) -> bool:
    """Whether there is a certificate that the problem cannot be solved."""
    certificate = labels.get("certificate")
    return isinstance(certificate, Certificate) and not certificate.solvable


def _name_of(label: tuple[str, Any]) -> str:
    name, value = label
    if isinstance(value, Certificate):
        return "certified solvable" if value.solvable else "certified unsolvable"
    return f"fault {value}" if name == "fault" else name if name == "suspect" else "known before"
