"""strict: the typed grading of `core.grading`. Nothing is guessed; what cannot be judged is null with a reason."""

from __future__ import annotations

from anectl.core.grading import grade
from anectl.core.profiles import Profile

PROFILE = Profile(name="strict", rule="anectl: core/grading", score=grade)
