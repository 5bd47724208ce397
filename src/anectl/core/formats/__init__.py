"""The shapes that benchmarks and training sets are published in, and their way to and from problems.

A format is a module of this package with a `FORMAT`, loaded when it is asked for: pure functions between the rows of a
table and records. Files, tables and image bytes are the business of the commands.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from anectl.core.errors import UsageError
from anectl.core.prompts import DEFAULT_INSTRUCTION
from anectl.core.records import Example, Problem

BENCHMARKS = {
    "mathvista": "AI4Math/MathVista",
    "mathverse": "AI4Math/MathVerse",
    "mathvision": "MathLLMs/MathVision",
    "wemath": "We-Math/We-Math",
    "logicvista": "lscpku/LogicVista",
    "dynamath": "kcz358/DynaMath or DynaMath/DynaMath_Sample",
    "mmmu": "MMMU/MMMU",
    "mmmu-pro": "MMMU/MMMU_Pro",
    "mmstar": "Lin-Chen/MMStar",
    "mmbench": "lmms-lab-encoder/MMBench, or its TSV",
    "ai2d": "lmms-lab-encoder/ai2d",
    "chartqa": "lmms-lab-encoder/ChartQA",
    "m3cot": "LightChen2333/M3CoT",
    "scienceqa": "derek-thomas/ScienceQA",
    "geometry3k": "hiyouga/geometry3k",
    "virl39k": "TIGER-Lab/ViRL39K",
    "mmk12": "FanqingM/MMK12 and MM-Eureka",
    "mathv360k": "Zhiqiang007/MathV360K",
}
SHAPES = {
    "table": "a table of your own: `question`, `answer`, and as wanted `image`, `choices`, `solution`, `tags`, ...",
    "llamafactory": "LLaMA-Factory sharegpt rows; also MathV360K-like and VLM-R1 conversations",
    "swift": "ms-swift messages with `<image>` and `images`",
    "easyr1": "EasyR1 `problem`, `answer`, `images`",
    "verl": "verl `prompt`, `images`, `reward_model`",
    "trl": "TRL prompt/completion or messages with content parts",
    "openai-batch": "OpenAI (and vLLM run-batch) batch requests",
    "openai": "OpenAI chat messages with `image_url` parts",
    "vlm-r1": "VLM-R1 `image`, `conversations`",
    "r1v": "R1-V `image`, `problem`, `solution` in answer tags",
}


class ImageSink(Protocol):
    """Where the images of imported rows go."""

    def put(self, image: object) -> str:
        """The reference of an image in its problem.

        `image` is as tables have it: bytes, `{"bytes": ..., "path": ...}`, a path, a data URI or base64 text. Equal
        images get one file. Raises RowError when it is no image or cannot be found.
        """
        ...


class ImageSource(Protocol):
    """How an exported row refers to an image of its record."""

    def path(self, reference: str) -> str:
        """A file path or URI that the other tool can open. Raises RowError when there is no such image."""
        ...

    def data_uri(self, reference: str) -> str:
        """The image itself as `data:image/...;base64,...`. Raises RowError when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an exported row says beside its record.

    `instruction` stands after every question, as in a rollout. `carry` adds the column that brings back what the
    other tool has no field for. `inline` puts the images themselves into the row, as data URIs. `model` and
    `data_source` are for the formats that name one.
    """

    instruction: str = DEFAULT_INSTRUCTION
    carry: bool = True
    inline: bool = False
    model: str = ""
    data_source: str = "hiyouga/geometry3k"


Row: TypeAlias = Mapping[str, Any]
ToRecord: TypeAlias = Callable[[Row, ImageSink], "Problem | Example"]
FromRecord: TypeAlias = Callable[["Problem | Example", ImageSource, ExportOptions], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Format:
    """A published shape; `required` are the fields without which a row is of another shape.

    `to_record` reads a row (None: export only), `from_record` makes one (None: import only). Both raise RowError with
    what is wrong with the row. A benchmark puts the row without its images into `source`:
    `{"benchmark": NAME, "fields": {...}}`. Where the ids of a set repeat, or it has none and a row may come twice
    (`ids_repeat`), import numbers the later ones; elsewhere a repeated id is a bad row. `index_field` is the index by
    which later rows may name the image of a row instead of repeating it.
    """

    name: str
    required: frozenset[str]
    to_record: ToRecord | None = None
    from_record: FromRecord | None = None
    ids_repeat: bool = False
    index_field: str | None = None


def load_format(name: str) -> Format:
    """The format of that name. Raises UsageError for an unknown one."""
    known = BENCHMARKS | SHAPES
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "formats: " + ", ".join(known)
        raise UsageError(f"unknown format {name!r}", hint=hint)
    return cast(Format, importlib.import_module(f"anectl.core.formats.{name.replace('-', '_')}").FORMAT)
