"""The sidecar `<out>.manifest.json`: enough to know how a file came about and to make it again."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from anectl import __version__
from anectl.core.errors import AnectlError
from anectl.core.output import write_atomic

_PACKAGES = (
    *("torch", "transformers", "trl", "peft", "vllm"),
    *("sentence-transformers", "hnswlib", "lancedb", "math-verify"),
)
# Options that say where to run and how to report, not what to compute: a resumed run may change them.
_FREE_NAMES = (
    "resume output limit quiet config rejects on_error batch_size url concurrency unordered retry_failed ray replicas "
    "replica_gpus remote_images helper_url"
)
_FREE_OPTIONS = frozenset(_FREE_NAMES.split())


def manifest_path(output: Path) -> Path:
    """Where the manifest of an output lies."""
    return output.with_name(output.name + ".manifest.json")


def describe(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What is known before the work begins: argv, resolved options, versions, commit."""
    from importlib import metadata  # 12 ms that `anectl --help` should not pay

    versions = {"anectl": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "schema": "manifest/1",
        "command": command,
        "argv": sys.argv[1:],
        "options": {name: _plain(value) for name, value in sorted(options.items())},
        "versions": versions,
        "git_commit": git_commit(),
        "status": "running",
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def git_commit() -> str | None:
    """The commit of the working folder, with `+` when it has changes; None outside a checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        if head.returncode:
            return None
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def file_hash(path: str) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(output: Path, manifest: Mapping[str, Any]) -> None:
    """Write the sidecar of an output, whole or not at all."""
    write_atomic(manifest_path(output), msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def manifest_bytes(output: Path) -> bytes | None:
    """The sidecar as it lies there; null where there is none."""
    path = manifest_path(output)
    return path.read_bytes() if path.exists() else None


def put_back(output: Path, before: bytes | None) -> None:
    """Undo `write_manifest`: `before` is what `manifest_bytes` gave."""
    if before is None:
        manifest_path(output).unlink(missing_ok=True)
    else:
        write_atomic(manifest_path(output), before)


def refuse_changed_settings(output: Path, options: Mapping[str, Any], *, free: frozenset[str] = _FREE_OPTIONS) -> None:
    """Compare the options of a resumed run with those that began it; those in `free` may differ.

    Raises AnectlError listing each difference: rows drawn under two settings must not share a file.
    """
    path = manifest_path(output)
    if not path.exists():
        return
    try:
        before = msgspec.json.decode(path.read_bytes())["options"]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise AnectlError("is not a manifest", path=str(path), hint="remove it, and the rows it describes") from None
    now = {name: _plain(value) for name, value in options.items()}
    changed = [
        f"{name}: {before.get(name)!r} before, {now.get(name)!r} now"
        for name in sorted(before.keys() | now.keys())
        if name not in free and before.get(name) != now.get(name)
    ]
    if changed:
        raise AnectlError(
            "the settings changed since the interrupted run: " + "; ".join(changed),
            path=str(output),
            hint="use the earlier settings, or write to another file",
        )


def inputs_changed(output: Path, inputs: Sequence[str]) -> bool:
    """Whether a finished output was made from other files than these, or from other contents; stdin never counts."""
    path = manifest_path(output)
    try:
        before = msgspec.json.decode(path.read_bytes())["inputs"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        raise AnectlError("is not the manifest of a finished run", path=str(path)) from None
    return bool([entry["sha256"] for entry in before] != [file_hash(name) for name in inputs if name != "-"])


def remove_stale(output: Path) -> None:
    """Drop the manifest of an output that was never finished."""
    if not output.exists():
        manifest_path(output).unlink(missing_ok=True)


def input_entry(path: str) -> dict[str, Any]:
    """Path, size and hash of one input file."""
    return {"path": path, "bytes": os.path.getsize(path), "sha256": file_hash(path)}
