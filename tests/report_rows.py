"""A small run on disk for the tests of the report, and texts that try to break out of its page."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

CANARY = "document.title='CANARY';window.canary=1"

# What models and data sets have been seen to hold, and what someone who wants to run code would write.
HOSTILE = (
    f"<script>{CANARY}</script>",
    f"</script><script>{CANARY}</script>",
    f"</SCRIPT ><script>{CANARY}//",
    f"<!--<script>{CANARY}</script>-->",
    "<!-- <script> <!-- </script> -->",
    "]]><script>x()</script>",
    f"<img src=x onerror={CANARY.replace(';', ',')}>",
    f'<img src=x onerror="{CANARY}">',
    f'<svg onload="{CANARY}"><circle r=9></svg>',
    f"<svg><script>{CANARY}</script></svg>",
    f'<svg><animate onbegin="{CANARY}" attributeName=x dur=1s>',
    f'<body onload="{CANARY}">',
    f'<iframe srcdoc="<script>parent.{CANARY}</script>"></iframe>',
    "<iframe src=javascript:parent.canary=1></iframe>",
    "<object data=data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==></object>",
    f'<a href="javascript:{CANARY}">press me</a>',
    "javascript:window.canary=1",
    "data:text/html,<script>parent.canary=1</script>",
    f'<details open ontoggle="{CANARY}">',
    f'<input autofocus onfocus="{CANARY}">',
    f'<video><source onerror="{CANARY}"></video>',
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={CANARY}>",
    "<style>*{display:none!important}</style>",
    "</style><style>body{background:red}</style>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    '<meta http-equiv=refresh content="0;url=https://example.org/">',
    "<base href=https://example.org/>",
    "<form action=https://example.org/><button>send</button></form>",
    '" onmouseover="window.canary=1" x="',
    "' onfocus='window.canary=1' autofocus '",
    "`${window.canary=1}`",
    "{{constructor.constructor('window.canary=1')()}}",
    "${7*7} #{7*7} <%= 7*7 %> {% raw %}",
    "\\u003cscript\\u003ewindow.canary=1\\u003c/script\\u003e",
    '"}]</script><script>window.canary=1</script>',
    "\u2028window.canary=1\u2029",
    "\u202egnorw si rewsna eht\u202c",
    "\u2066\u2067\u2068 isolates without an end",
    "abc\u200b\u200d\ufeff\u00ad\u2060def",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "\x00\x01\x08\x0b\x0c\x7f\x85",
    "Z" + "\u0300\u0336\u0489" * 300,
    "\U000e0041\U000e0042 tags",
    "x" * 1_000_000,
    "word " * 200_000,
    "\n" * 50_000,
    "<div>" * 20_000,
    "&lt;script&gt; &amp;amp; &#x3c;",
    "%3Cscript%3Ewindow.canary=1%3C/script%3E#p=x&y",
    "__proto__",
    "constructor",
    "العربية والعبرية עברית mixed 123",
)

# Names are shown in links, options, attributes and file names.
HOSTILE_IDS = (
    "a'b\"c",
    "<script>window.canary=1</script>",
    "x#p=y%22",
    "../../etc",
    "__proto__",
    "a b\u202ec",
    "%E0%A4%A",
    "é漢",
)


def problem(number: int, *, images: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    """A problem with a number for an answer."""
    row = {"schema": "problem/1", "id": f"p{number}", "question": f"What is {number} plus one?", "images": list(images)}
    row |= {"answer": str(number + 1), "answer_type": "number", "tags": ["sum", "easy" if number % 2 else "hard"]}
    return row | {"source": {"family": f"family-{number % 3}"}} | fields


def completion(text: str, correct: bool | None, **fields: Any) -> dict[str, Any]:
    """A graded completion."""
    reason = {True: "exact", False: "mismatch", None: "unparsed"}[correct]
    return {"text": text, "finish_reason": "stop", "num_tokens": 9, "correct": correct, "reason": reason} | fields


def rollout(of: dict[str, Any], rights: int, *, n: int = 8, policy: str = "base", **fields: Any) -> dict[str, Any]:
    """A rollout with `rights` of n completions right."""
    drawn = [completion(f"It is {place}. Answer: {place}", place < rights) for place in range(n)]
    row = {
        "schema": "rollout/1",
        "key": "k",
        "problem": of,
        "policy": policy,
        "sampling": {"n": n},
        "completions": drawn,
    }
    return row | fields


def anchored(of: dict[str, Any], anchors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A failing row with a first wrong step and its anchors."""
    posterior = {"a": 0.5, "b": 8.5, "low": 0.0, "high": 0.26, "confidence": 0.81}
    looked = completion("One. Two. Answer: 0", False, steps=["One.", "Two."])
    looked["values"] = [{"correct": 3, "judged": 4}, {"correct": 0, "judged": 4}]
    first = [{"completion": 0, "step": 1, "text": "Two.", "num_continuations": 8}]
    why = {"text": 0.81, "bm25": 12.5, "ranks": {"text": 1, "bm25": 2}, "tier": "skill", "note": "shares sum"}
    found = [
        {"id": one["id"], "rank": rank, "score": 0.5 / rank, "why": why, "problem": one}
        for rank, one in enumerate(anchors, 1)
    ]
    row = rollout(of, 0) | {"schema": "anchored/1", "zone": "failing", "posterior": posterior, "first_errors": first}
    row["completions"] = [looked, *row["completions"][1:]]
    return row | {"failures": [0, 1], "anchors": found}


def example(of: dict[str, Any], anchor: str) -> dict[str, Any]:
    """A training row made for a failing problem from an anchor."""
    ladder = ["", "This is about: sum.", "Add ? and ?.", "Add 1 and ?.", "Add 1 and ?.", "1 + 1 = ?"]
    scaffold = {"level": 2, "text": ladder[2], "template": "default", "anchor_ids": [anchor], "ladder": ladder}
    row = {"schema": "example/1", "problem_id": anchor, "frontier_id": of["id"], "origin": "anchor/raw"}
    row |= {"prompt": [{"role": "user", "content": "?"}], "completion": [{"role": "assistant", "content": "Answer: 2"}]}
    return row | {"answer": "2", "answer_type": "number", "scaffold": scaffold | {"sources": ["", "gold"]}}


def score(of: dict[str, Any], right: bool | None, policy: str, benchmark: str = "sums") -> dict[str, Any]:
    """A greedy score."""
    row = {"schema": "score/1", "problem_id": of["id"], "benchmark": benchmark, "cluster": of["id"], "policy": policy}
    return row | {"completions": [completion("Answer: 1", right, extracted="1")], "problem": of}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def manifest(path: Path, command: str, inputs: Sequence[str] = ()) -> Path:
    """The sidecar of an output."""
    entries = [{"path": name, "bytes": 10, "sha256": "ab" * 32} for name in inputs]
    fields = {"schema": "manifest/1", "command": command, "argv": [command, *inputs], "inputs": entries}
    fields |= {"options": {"output": path.name, "seed": 7}, "versions": {"anectl": "0.1.0"}, "status": "complete"}
    target = path.with_name(path.name + ".manifest.json")
    target.write_text(
        json.dumps(fields | {"counts": {"read": 3, "dropped": {"zone solved": 2}}, "seconds": 1.5}, indent=2)
    )
    return target


def training_log(steps: int) -> list[dict[str, Any]]:
    """Lines as strip-rl logs them."""
    rng = random.Random(0)
    return [
        {"step": step, "loss": rng.random(), "reward": step / steps, "accuracy_bare": 0.5, "accuracy_hinted": 0.7}
        | {"level": 2.0 - 2 * step / steps, "cap": 2.0, "entropy": 0.3, "mean_length": 20.0, "seconds": 0.1 * step}
        for step in range(1, steps + 1)
    ]


def make_run(folder: Path, *, problems: int = 12, gain: int = 4) -> Path:
    """A whole run: rollouts, anchors, examples, a training log, scores before and after, three rounds."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = []
    for number in range(problems):
        Image.new("RGB", (80, 60), (number * 20 % 256, 90, 140)).save(folder / f"{number}.png")
        pool.append(problem(number, images=[f"{number}.png"]))
    truth = [problem(100 + number, images=["0.png"], solution="Add them.") for number in range(3)]
    write(folder / "rollouts.jsonl", [rollout(one, number % 9) for number, one in enumerate(pool)])
    manifest(folder / "rollouts.jsonl", "rollout", ["pool.jsonl"])
    write(
        folder / "second.jsonl", [rollout(one, min(8, number % 9 + 3), policy="m2") for number, one in enumerate(pool)]
    )
    write(folder / "anchored.jsonl", [anchored(pool[0], truth)])
    manifest(folder / "anchored.jsonl", "anchor", ["rollouts.jsonl"])
    write(folder / "train.jsonl", [example(pool[0], "p100")])
    bench = [problem(200 + number, images=["1.png"]) for number in range(10)]
    write(folder / "before.jsonl", [score(one, number < 3, "base") for number, one in enumerate(bench)])
    after = [
        score(one, (number < 3 + gain and number != 0) if number < 9 else None, "runs/m2")
        for number, one in enumerate(bench)
    ]
    write(folder / "after.jsonl", after)
    write(folder / "m2" / "log.jsonl", training_log(30))
    result = {"schema": "result/1", "command": "strip-rl", "base": "base", "checkpoint": "m2", "num_examples": 1}
    write(folder / "m2" / "result.json", [result | {"steps": 30, "seconds": 3.0, "metrics": {"reward": 0.5}}])
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    ledger = [
        {
            "schema": "round/1",
            "number": number,
            "policy": f"m{number}",
            "temperature": 0.7 + number / 10,
            "num_problems": 12,
        }
        | {"num_drawn": 8, "num_kept": 2, "pass_rate": interval, "pass_at_k": interval, "greedy": interval}
        | {"exploration": 0.1, "surprisal": 0.4, "mean_tokens": 20.0, "truncated": 0.0}
        for number in range(1, 4)
    ]
    write(folder / "ledger.json", ledger)
    return folder


def make_hostile_run(folder: Path) -> Path:
    """A run in which every text of every kind is hostile."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (9, 90, 140)).save(folder / "x.png")
    rollouts, scores, after, rows = [], [], [], []
    for number, text in enumerate(HOSTILE):
        identity = HOSTILE_IDS[number % len(HOSTILE_IDS)] + ("" if number < len(HOSTILE_IDS) else str(number))
        images = ["x.png", text[:3000], "data:image/svg+xml;base64,PHN2Zy8+", "https://example.org/x.png"]
        row = problem(number, id=identity, question=text, answer=text or "?", answer_type="text", images=images)
        row |= {"tags": [text[:500]], "source": {"family": text[:500]}, "solution": text, "unit": text[:500]}
        anchor = row | {"id": f"anchor {identity}"}
        one = anchored(row, [anchor])
        one["policy"] = "base"
        one["completions"] = [completion(text, False, extracted=text[:2000], reason=text[:2000], error=None)]
        one["completions"].append(completion(text, None, steps=[text, text], step_scores=[0.1, 0.2]))
        one["anchors"][0]["why"]["note"] = text
        one["first_errors"] = [{"completion": 1, "step": 0, "text": text, "num_continuations": 2}]
        rollouts.append(one)
        made = example(row, "a")
        made["scaffold"]["ladder"] = [text] * 6
        made["scaffold"]["notes"] = [text]
        made["completion"][0]["content"] = text
        rows.append(made)
        scores.append(score(row, number % 2 == 0, "base", benchmark=text[:300] if number < 12 else "b"))
        after.append(score(row, number % 3 == 0, "<b>m2</b>\u202e", benchmark=text[:300] if number < 12 else "b"))
    write(folder / "r<img src=x onerror=window.canary=1>.jsonl", rollouts)
    write(folder / "train.jsonl", rows)
    write(folder / "a.jsonl", scores)
    write(folder / "b.jsonl", after)
    sidecar = {"schema": "manifest/1", "command": HOSTILE[0], "argv": list(HOSTILE), "inputs": [{"path": HOSTILE[6]}]}
    sidecar |= {"versions": {HOSTILE[1]: HOSTILE[2]}, "counts": {HOSTILE[3]: {HOSTILE[4]: 3}}, "status": HOSTILE[5]}
    (folder / "a.jsonl.manifest.json").write_text(json.dumps(sidecar))
    write(folder / "odd.jsonl", [{"schema": HOSTILE[0]}, {"schema": HOSTILE[30]}])
    rejected = {
        "schema": "reject/1",
        "path": HOSTILE[0],
        "line": 3,
        "problem": HOSTILE[6],
        "hint": None,
        "row": HOSTILE[7],
    }
    write(folder / "rejects.jsonl", [rejected])
    result = {"schema": "result/1", "command": HOSTILE[0], "base": HOSTILE[1], "checkpoint": "m", "num_examples": 1}
    write(folder / "m" / "result.json", [result | {"steps": 3, "seconds": 1.0, "metrics": {HOSTILE[0]: 1.0}}])
    log = [
        {"step": step, "loss": 1.0, "alarms": [HOSTILE[6]], HOSTILE[0]: 2.0, "levels": {HOSTILE[0]: 0.5}}
        for step in range(3)
    ]
    write(folder / "m" / "log.jsonl", log)
    return folder
