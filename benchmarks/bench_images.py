"""Reading and decoding images through `ImageRoot`, against Pillow alone, and zip members against `zipfile`.

Usage: python benchmarks/bench_images.py [--images 300] [--pairs 5]

Half the images are PNG, half JPEG. The baseline of files is `Image.open(path).convert("RGB")`, which makes none of the
checks (place, size, pixels, truncation, orientation). Zip members, 2,000 of 10 kB, are read in random order; their
baselines are `ZipFile(path).read(name)`, which reads the table of the archive each time, and the same with the archive
kept open. Medians over runs taken in turn.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from anectl.core.images import ImageRoot

NUM_MEMBERS, MEMBER_BYTES = 2000, 10_000


def main() -> None:
    """Time each pair in turn and print its ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = pictures(folder, options.images)
        root = ImageRoot(folder)
        report(
            "image files, checked and decoded, against Pillow alone",
            lambda: [root.resolve(path).open().size for path in paths],
            lambda: [Image.open(folder / path).convert("RGB").size for path in paths],
            options.pairs,
        )
        archive, members = archive_of(folder)
        refs = [f"zip://{archive.name}!{member}" for member in members]
        with zipfile.ZipFile(archive) as kept:

            def read() -> list[int]:
                return [len(root.resolve(ref).read()) for ref in refs]

            def opened() -> list[int]:
                return [len(zipfile.ZipFile(archive).read(member)) for member in members[:200]]

            report("zip members, against a ZipFile for each", read, opened, options.pairs, len(refs) / 200)
            report(
                "zip members, against one ZipFile kept open",
                read,
                lambda: [len(kept.read(member)) for member in members],
                options.pairs,
            )


def report(
    title: str, ours: Callable[[], object], theirs: Callable[[], object], pairs: int, scale: float = 1.0
) -> None:
    """Print the ratio of the medians; the baseline's seconds are multiplied by `scale`."""
    runs = [(seconds(ours), scale * seconds(theirs)) for _ in range(pairs)]
    own, baseline = (statistics.median(run[side] for run in runs) for side in (0, 1))
    print(f"{title}: {own:.3f} s, baseline {baseline:.3f} s, speed ratio {baseline / own:.2f}")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def pictures(folder: Path, count: int) -> list[str]:
    """Gradients with noise, 640 x 480, saved as PNG and JPEG in turn."""
    names = []
    for number in range(count):
        noise = Image.effect_noise((640, 480), 20 + number % 60)
        picture = Image.merge("RGB", (noise, Image.linear_gradient("L").resize((640, 480)), noise))
        names.append(f"{number}.{('png', 'jpg')[number % 2]}")
        picture.save(folder / names[-1])
    return names


def archive_of(folder: Path) -> tuple[Path, list[str]]:
    """An archive of incompressible members, and their names in random order."""
    rng = random.Random(0)
    path = folder / "images.zip"
    names = [f"images/{number:06}.bin" for number in range(NUM_MEMBERS)]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, rng.randbytes(MEMBER_BYTES))
    rng.shuffle(names)
    return path, names


if __name__ == "__main__":
    main()
