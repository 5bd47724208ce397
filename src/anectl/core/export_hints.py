"""How each tool is told of a file that was exported for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from anectl.core.errors import AnectlError
from anectl.core.formats.llamafactory import dataset_info
from anectl.core.output import write_atomic


def next_step(to: str, output: str | None) -> str:
    """The flags or the file entry that make the tool read this export; `to` is the format's name."""
    name = output or "FILE"
    folder = str(Path(name).parent)
    if to == "llamafactory":
        entry = msgspec.json.encode({Path(name).stem: dataset_info(Path(name).name)}).decode()
        return f"LLaMA-Factory: dataset_info.json needs {entry}, training --dataset_dir {folder} --media_dir {folder}"
    steps = {
        "swift": f"ms-swift: swift sft (or rlhf --rlhf_type grpo) --dataset {name}; relative image paths are from "
        f"{folder}, so start it there or export with --absolute",
        "easyr1": f"EasyR1: data.train_files={name} data.prompt_key=problem data.answer_key=answer "
        f"data.image_key=images data.image_dir={folder} data.format_prompt=null",
        "verl": f"verl: data.train_files={name} data.prompt_key=prompt data.image_key=images; it reads parquet",
        "trl": f'TRL: load_dataset("{"parquet" if name.endswith(".parquet") else "json"}", data_files="{name}"); '
        f"relative image paths are from {folder}",
        "openai-batch": f"vLLM: vllm run-batch -i {name} -o responses.jsonl --model ...; hosted APIs: --plain",
    }
    return steps[to]


def add_dataset_info(path: Path, output: str) -> None:
    """Put the entry of an export into a `dataset_info.json`, under the file's stem; other entries stay.

    Raises AnectlError when the file that is there is not a JSON object, or cannot be written.
    """
    entries: Any = {}
    if path.exists():
        try:
            entries = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise AnectlError(f"not a dataset_info.json: {error}", path=str(path)) from None
        if not isinstance(entries, dict):
            raise AnectlError("not a dataset_info.json: expected an object", path=str(path))
    # LLaMA-Factory looks for the file from the folder of the list.
    entries[Path(output).stem] = dataset_info(os.path.relpath(output, path.parent))
    write_atomic(path, msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n")
