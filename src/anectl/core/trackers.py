"""The experiment trackers that transformers can log to, and whether what they need is installed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib.util import find_spec

from anectl.core.errors import AnectlError, UsageError

NONE = "none"
# By transformers' name of each: the modules of which one must be there, and what to install for it.
_NEEDS = {
    "wandb": (("wandb",), "wandb"),
    "tensorboard": (("tensorboard", "tensorboardX"), "tensorboard"),
    "trackio": (("trackio",), "trackio"),
    "mlflow": (("mlflow",), "mlflow"),
    "comet_ml": (("comet_ml",), "comet_ml"),
    "clearml": (("clearml",), "clearml"),
    "neptune": (("neptune",), "neptune"),
    "dvclive": (("dvclive",), "dvclive"),
    "swanlab": (("swanlab",), "swanlab"),
    "codecarbon": (("codecarbon",), "codecarbon"),
    "dagshub": (("dagshub",), "dagshub"),
    "flyte": (("flytekit",), "flytekit"),
    "azure_ml": (("azureml",), "azureml-sdk"),
}
NAMES = (NONE, *_NEEDS)


def trackers(named: str | Sequence[str]) -> list[str]:
    """The trackers of `--report-to`, names with commas between them; `none` is no tracker.

    A name that is like none of these is left for transformers to judge, which learns new ones.
    Raises UsageError for a misspelt name, AnectlError for one whose library is not installed.
    """
    given = named.split(",") if isinstance(named, str) else [str(name) for name in named]
    names = list(dict.fromkeys(name.strip() for name in given))
    if names == [NONE]:
        return names
    for name in names:
        near = difflib.get_close_matches(name, NAMES, n=1)
        if name in _NEEDS:
            modules, package = _NEEDS[name]
            if not any(find_spec(module) for module in modules):
                raise AnectlError(f"--report-to {name}: {modules[0]} is not installed", hint=f"pip install {package}")
        elif near or not name:
            known = f"{NONE} alone, or some of {', '.join(_NEEDS)}"
            hint = f"did you mean {near[0]}?" if near and name != NONE else known
            raise UsageError(f"--report-to {name!r} is no tracker", hint=hint)
    return names
