"""The run card: what a reader must know of an evaluation to get the same numbers from another harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from anectl.core.profiles import Profile
from anectl.core.records import Sampling

# The files in which a checkpoint says how images are resized before the model sees them.
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_SIZE_FIELDS = ("size", "max_image_size", "min_pixels", "max_pixels", "do_resize", "do_image_splitting", "patch_size")


@dataclass
class PixelStats:
    """Running sizes of images, in pixels as decoded, before any resizing by a model's processor."""

    num_images: int = 0
    num_pixels: int = 0
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None

    def add(self, width: int, height: int) -> None:
        """Count one image."""
        self.num_images += 1
        self.num_pixels += width * height
        if self.smallest is None or width * height < self.smallest[0] * self.smallest[1]:
            self.smallest = width, height
        if self.largest is None or width * height > self.largest[0] * self.largest[1]:
            self.largest = width, height

    def facts(self) -> dict[str, object]:
        """The sizes as plain data; `mean_pixels` is null without images."""
        mean_pixels = round(self.num_pixels / self.num_images) if self.num_images else None
        return {
            "images": self.num_images,
            "mean_pixels": mean_pixels,
            "smallest": self.smallest,
            "largest": self.largest,
        }


def run_card(
    *,
    policy: str,
    sampling: Sampling | None,
    first_prompt: str | None,
    scaffold_level: int,
    pixels: PixelStats,
    profiles: Sequence[Profile],
    manifest: Mapping[str, Any],
) -> dict[str, Any]:
    """The card as plain data; `sampling` and `first_prompt` are null for completions from elsewhere."""
    return {
        "schema": "card/1",
        "policy": policy,
        "sampling": None if sampling is None else msgspec.to_builtins(sampling),
        "first_prompt": first_prompt,
        "scaffold_level": scaffold_level,
        "pixels": pixels.facts() | {"processor": processor_sizes(Path(policy))},
        "profiles": {profile.name: profile.rule for profile in profiles},
        "versions": manifest["versions"],
        "git_commit": manifest["git_commit"],
        "argv": manifest["argv"],
    }


def processor_sizes(checkpoint: Path) -> dict[str, Any] | None:
    """The image sizes a checkpoint's processor is set to; null where the folder holds no such settings."""
    for name in _PROCESSOR_FILES:
        try:
            settings = msgspec.json.decode((checkpoint / name).read_bytes())
        except (OSError, ValueError, msgspec.DecodeError):
            # The policy of saved predictions may be any text, with a NUL in it too.
            continue
        images = settings.get("image_processor", settings) if isinstance(settings, dict) else {}
        return {field: images[field] for field in _SIZE_FIELDS if field in images}
    return None
