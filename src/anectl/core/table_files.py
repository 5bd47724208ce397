"""Which files a source of rows means: a file, or a folder of them as a hub or a library leaves it, by split and subset.

A folder is `dataset_dict.json` over split folders, one saved split (`state.json`, Arrow files), or a repository with
files such as `data/test-00000-of-00003.parquet`, `SUBSET/validation.jsonl` or `MMBench_DEV_EN.tsv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from anectl.core.errors import AnectlError

# In this order: the first kind that a folder has holds its rows, the others go with it (cards, annotations).
KINDS = ("parquet", "arrow", "jsonl", "tsv", "csv", "json")
_SHARD = re.compile(r"[-_.][0-9]{5}-of-[0-9]{5}(?:-[0-9a-f]+)?$")
_NOT_ROWS = frozenset({"dataset_infos.json", "dataset_info.json", "state.json", "dataset_dict.json", "manifest.json"})


def files_of(folder: Path, split: str | None, subset: str | None) -> list[Path]:
    """The files of a folder that hold the rows of a split (None: there must be one split only), in order.

    Raises AnectlError when there are none, or splits or subsets to choose from, naming them.
    """
    saved = _saved(folder, split)
    if saved is not None:
        return saved
    files = _rows_files(folder)
    if not files:
        raise AnectlError("holds no parquet, Arrow, JSON, CSV or TSV file", path=str(folder))
    if subset is not None:
        files = [file for file in files if _is_of_subset(file.relative_to(folder), subset)]
        if not files:
            raise AnectlError(f"has no subset {subset!r}", path=str(folder), hint="a subset is a folder in it")
    splits = {file: _split_of(file.relative_to(folder)) for file in files}
    names = sorted(set(splits.values()))
    if split is None and len(names) > 1:
        raise AnectlError("has several splits", path=str(folder), hint="--split, one of " + ", ".join(names))
    if split is not None and split not in names:
        raise AnectlError(f"has no split {split!r}", path=str(folder), hint="splits: " + ", ".join(names))
    return [file for file in files if split is None or splits[file] == split]


def _rows_files(folder: Path) -> list[Path]:
    found = [file for file in sorted(folder.rglob("*")) if _is_visible(file.relative_to(folder)) and file.is_file()]
    for kind in KINDS:
        files = [file for file in found if file.suffix.lower() == f".{kind}" and file.name not in _NOT_ROWS]
        if files:
            return files
    return []


def _is_visible(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.parts)


def _split_of(path: Path) -> str:
    """`test` for `data/test-00000-of-00003.parquet`, and for `test/0000.parquet`."""
    stem = _SHARD.sub("", path.stem)
    return path.parent.name if re.fullmatch(r"(?:part[-_.])?[0-9]+", stem) and path.parent.name else stem


def _is_of_subset(path: Path, subset: str) -> bool:
    wanted = Path(subset).parts
    folders = path.parts[:-1]
    return any(folders[i : i + len(wanted)] == wanted for i in range(len(folders))) or path.stem == subset


def _saved(folder: Path, split: str | None) -> list[Path] | None:
    """The Arrow files that `save_to_disk` of the datasets library wrote; None for another folder."""
    if (folder / "dataset_dict.json").is_file():
        names = [str(name) for name in _strings(folder / "dataset_dict.json", "splits")]
        if split is None and len(names) != 1:
            raise AnectlError("has several splits", path=str(folder), hint="--split, one of " + ", ".join(names))
        if split is not None and split not in names:
            raise AnectlError(f"has no split {split!r}", path=str(folder), hint="splits: " + ", ".join(names))
        folder = folder / (split or names[0])
    if not (folder / "state.json").is_file():
        return None
    files = [folder / name for name in _strings(folder / "state.json", "_data_files")]
    if not files or any(not file.resolve().is_relative_to(folder.resolve()) for file in files):
        raise AnectlError("names no data files of its own", path=str(folder / "state.json"))
    return files


def _strings(path: Path, name: str) -> Iterator[str]:
    try:
        found = msgspec.json.decode(path.read_bytes())[name]
        yield from (item["filename"] if isinstance(item, dict) else str(item) for item in found)
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        raise AnectlError(f"has no {name!r}", path=str(path)) from None
