"""How large the page of a run with many problems becomes, how long `report` takes, and how soon a browser paints it.

Usage: python benchmarks/bench_report.py [--problems 2000] [--times 3]

A run is made from a fixed seed: every problem has a picture of its own (640 x 480, drawn lines, letters and noise, as a
JPEG of about 90 KB), eight completions of about 1,200 characters, of which two in three are wrong, and three anchors
with pictures; half of the problems have scores before and after. The bars: 25 MB, first paint within two seconds. The
memory of a run with a quarter of the problems is the baseline that the memory of all is compared with, both with the
same number of problems on the page. Without Chromium and selenium the paint is not measured, and the output says so.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

WORDS = [
    "the",
    "angle",
    "of",
    "side",
    "triangle",
    "is",
    "equal",
    "to",
    "so",
    "that",
    "we",
    "find",
    "sum",
    "length",
    "then",
    "area",
    "product",
    "which",
    "gives",
    "value",
    "x",
    "y",
]


def picture(rng: random.Random, path: Path) -> None:
    """A drawing that compresses about as well as a photographed figure."""
    image = Image.effect_noise((640, 480), 24).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        ends = [rng.randrange(480) for _ in range(4)]
        draw.line(ends, fill=(rng.randrange(256), rng.randrange(256), rng.randrange(256)), width=3)
        draw.text((rng.randrange(600), rng.randrange(460)), rng.choice(WORDS), fill="black")
    image.save(path, "JPEG", quality=80)


def problem(number: int, prefix: str, images: int) -> dict[str, Any]:
    """A problem whose picture is one of those made."""
    row = {"schema": "problem/1", "id": f"{prefix}{number}", "question": f"What is the length of side {number}?"}
    row |= {"images": [f"images/{number % images}.jpg"], "answer": str(number), "answer_type": "number"}
    return row | {"tags": [WORDS[number % 9]], "source": {"family": f"f{number % 8}"}}


def make_run(folder: Path, problems: int, images: int, seed: int = 0) -> None:
    """Write the artifacts of a run."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        picture(rng, folder / "images" / f"{number}.jpg")
    posterior = {"a": 2.5, "b": 6.5, "low": 0.05, "high": 0.55, "confidence": 0.8}
    with (
        open(folder / "anchored.jsonl", "w") as rows,
        open(folder / "a.jsonl", "w") as before,
        open(folder / "b.jsonl", "w") as after,
    ):
        for number in range(problems):
            of = problem(number, "p", images)
            drawn = [
                {
                    "text": " ".join(rng.choices(WORDS, k=230)),
                    "finish_reason": "stop",
                    "num_tokens": 300,
                    "correct": rng.random() < 0.33,
                }
                for _ in range(8)
            ]
            anchors = [
                {
                    "id": f"t{number}-{rank}",
                    "rank": rank,
                    "score": 1 / rank,
                    "why": {"text": 0.5},
                    "problem": problem(number + 7 * rank, "t", images),
                }
                for rank in (1, 2, 3)
            ]
            row = {"schema": "anchored/1", "problem": of, "policy": "base", "sampling": {"n": 8}, "completions": drawn}
            row |= {"zone": "learnable", "posterior": posterior, "anchors": anchors}
            rows.write(json.dumps(row) + "\n")
            if number % 2:
                for file, policy in ((before, "base"), (after, "m2")):
                    row = {"schema": "score/1", "problem_id": of["id"], "benchmark": "bench", "cluster": of["id"]}
                    row |= {
                        "policy": policy,
                        "completions": [drawn[number % 8 if policy == "m2" else 0]],
                        "problem": of,
                    }
                    file.write(json.dumps(row) + "\n")


def measure(folder: Path, out: Path, most: int) -> tuple[float, float]:
    """Seconds and peak megabytes of `anectl report`."""
    command = [sys.executable, "-m", "anectl", "report", str(folder), "-o", str(out), "--max-problems", str(most)]
    # A process in between, so that the peak is that of this call alone.
    program = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, *command], check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(done.stdout) / 1024


def paints(path: Path, times: int) -> list[tuple[float, float]]:
    """Milliseconds to the first contentful paint and until the page can be used, each in a fresh browser."""
    from selenium import webdriver

    found = []
    for _ in range(times):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        with tempfile.TemporaryDirectory() as profile:
            for flag in (
                "headless",
                "no-sandbox",
                "disable-gpu",
                "disable-quic",
                "no-first-run",
                "disable-background-networking",
                "disable-component-update",
                "disable-sync",
                f"user-data-dir={profile}",
            ):
                options.add_argument(f"--{flag}")
            browser = webdriver.Chrome(
                options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
            )
            try:
                browser.get(path.as_uri())
                script = (
                    "const p = performance.getEntriesByName('first-contentful-paint')[0];"
                    "const n = performance.getEntriesByType('navigation')[0];"
                    "return [p ? p.startTime : -1, n.domContentLoadedEventEnd]"
                )
                found.append(tuple(browser.execute_script(script)))
            finally:
                browser.quit()
    return found


def main() -> None:
    """Make the run, the pages and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, page = Path(name), Path(name) / "report.html"
        make_run(folder / "small", options.problems // 4, options.problems // 4)
        _, small = measure(folder / "small", page, options.problems // 4)
        make_run(folder / "run", options.problems, options.problems)
        _, same = measure(folder / "run", page, options.problems // 4)
        seconds, memory = measure(folder / "run", page, options.problems)
        print(f"{options.problems} problems with a picture each: {page.stat().st_size / 1e6:.1f} MB in {seconds:.1f} s")
        print(f"peak memory {memory:.0f} MB; with a quarter of the problems on the page {same:.0f} MB, ", end="")
        print(f"{same / small:.2f} times that of a run of a quarter ({small:.0f} MB)")
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            print("no Chromium here: the first paint was not measured")
            return
        try:
            found = paints(page, options.times)
        except ModuleNotFoundError:
            print("selenium is not installed: the first paint was not measured")
            return
        print("first contentful paint, ms: " + ", ".join(f"{first:.0f}" for first, _ in found))
        print("ready to use, ms: " + ", ".join(f"{ready:.0f}" for _, ready in found))


if __name__ == "__main__":
    main()
