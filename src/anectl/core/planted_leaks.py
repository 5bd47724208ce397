"""Leaks made on purpose from a benchmark's own rows, to see how many of them are found.

Six kinds: the row as it is; its numbers in the other spelling; its image compressed anew (JPEG, quality 70), cropped
(5% of width and height), or recoloured (hues turned, channels swapped, colours inverted, or grey); its choices in
another order. The text kinds keep the image, the image kinds keep the text.
"""

from __future__ import annotations

import base64
import io
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from anectl.core.benchmark_rows import BenchmarkRow
from anectl.core.images import ImageRef
from anectl.core.leak_search import Subject
from anectl.core.leaks import Side

if TYPE_CHECKING:
    from PIL.Image import Image

PLANTS = ("exact", "numbers", "jpeg", "cropped", "recoloured", "choices")
JPEG_QUALITY = 70
CROP = 0.05

_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_UNITS = [*("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), *_TEENS.split(" ")]
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL_NUMBER = re.compile(r"(?<![\w.,/^-])[0-9]{1,2}(?![\w/^]|[.,][0-9])")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_UNITS)})\b(?![ -](?:{'|'.join(_UNITS)}|hundred|thousand)\b)", re.I)


def plant(row: BenchmarkRow, kind: str, rng: random.Random) -> Subject | None:
    """A leak of a row; null where the row cannot be leaked in this way (no number, no image, no choices).

    Raises RowError when an image cannot be decoded.
    """
    problem, images = row.problem, row.images
    if kind == "numbers":
        question = respelled(problem.question)
        if question == problem.question:
            return None
        problem = msgspec.structs.replace(problem, question=question)
    elif kind == "choices":
        order = _another_order(len(problem.choices or ()), rng)
        if order is None or problem.answer_type != "choice" or problem.choices is None:
            return None
        answer = chr(ord("A") + order.index(ord(problem.answer) - ord("A")))
        choices = tuple(problem.choices[place] for place in order)
        problem = msgspec.structs.replace(problem, choices=choices, answer=answer)
    elif kind != "exact":
        if not images:
            return None
        images = tuple(altered(image.open(), kind, rng) for image in images)
    side = replace(Side.of_problem(problem), images=tuple(image.ref for image in images), more=())
    return Subject(side, images)


def _another_order(count: int, rng: random.Random) -> list[int] | None:
    order = list(range(count))
    while count > 1 and order == sorted(order):
        rng.shuffle(order)
    return order if count > 1 else None


def respelled(text: str) -> str:
    """The text with its whole numbers under a hundred in words; where it has none, its number words in digits."""
    words = _SMALL_NUMBER.sub(lambda found: in_words(int(found[0])), text)
    return words if words != text else _NUMBER_WORD.sub(lambda found: str(_UNITS.index(found[0].lower())), text)


def in_words(number: int) -> str:
    """A number of 0 to 99 in English words."""
    if number < 20:
        return _UNITS[number]
    ones = f"-{_UNITS[number % 10]}" if number % 10 else ""
    return _TENS[number // 10 - 2] + ones


def altered(image: Image, kind: str, rng: random.Random) -> ImageRef:
    """An image as a copyist leaves it (jpeg, cropped or recoloured), as a data URI."""
    changed = _ALTER[kind](image, rng)
    buffer = io.BytesIO()
    if kind == "jpeg":
        changed.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        changed.save(buffer, "PNG", compress_level=1)
    name = "jpeg" if kind == "jpeg" else "png"
    uri = f"data:image/{name};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return ImageRef(uri, uri)


def cropped(image: Image, rng: random.Random) -> Image:
    """The image without CROP of its width and of its height, at least a pixel, cut from either side by chance."""
    width, height = (max(1, round(side * CROP)) for side in image.size)
    left, top = rng.randint(0, width), rng.randint(0, height)
    return image.crop((left, top, image.width - width + left, image.height - height + top))


def recoloured(image: Image, rng: random.Random) -> Image:
    """The image in other colours: hues turned by 40 to 320 degrees, channels swapped, inverted, or grey."""
    from PIL import Image as pillow
    from PIL import ImageChops

    way = rng.randrange(4)
    if way == 0:
        hue, saturation, value = image.convert("HSV").split()
        turn = rng.randint(28, 228)
        turned = hue.point([(level + turn) % 256 for level in range(256)])
        return pillow.merge("HSV", (turned, saturation, value)).convert("RGB")
    if way == 1:
        red, green, blue = image.split()
        return pillow.merge("RGB", rng.choice([(green, blue, red), (blue, red, green), (blue, green, red)]))
    return ImageChops.invert(image) if way == 2 else image.convert("L").convert("RGB")


_ALTER: dict[str, Callable[[Image, random.Random], Image]] = {
    "jpeg": lambda image, rng: image,
    "cropped": cropped,
    "recoloured": recoloured,
}
