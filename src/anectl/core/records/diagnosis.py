"""What doctor finds on a machine."""

from __future__ import annotations

from typing import Literal

from anectl.core.records.base import Name, Record

Verdict = Literal["ok", "warn", "fail"]


class Diagnosis(Record, frozen=True, kw_only=True):
    """One thing that doctor looked at, and what to do about it. Written by doctor.

    `warn` may slow or limit a run, `fail` will end it; `advice` is empty where there is nothing to do.
    """

    schema: Literal["diagnosis/1"] = "diagnosis/1"
    name: Name
    status: Verdict
    found: str
    advice: str = ""
