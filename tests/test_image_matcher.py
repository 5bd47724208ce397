"""Copies of images are found whatever was done to them, and other images of the same kind are not."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageDraw

from anectl.core.images import ImageRef
from anectl.core.leaks import Limits
from anectl.core.planted_leaks import altered, cropped, recoloured
from anectl.engines.image_matcher import ImageMatcher
from anectl.engines.image_sketch import CUTS, likeness, resampling, sketch, unit

LIMITS = Limits()
NUM_IMAGES = 40


def drawing(rng: random.Random) -> Image.Image:
    """Shapes on a coloured ground, of a size of its own."""
    size = rng.randint(90, 200), rng.randint(90, 200)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(9):
        left, top = rng.randrange(size[0]), rng.randrange(size[1])
        box = (left, top, left + rng.randint(10, 80), top + rng.randint(10, 80))
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    rng = random.Random(0)
    return [drawing(rng) for _ in range(NUM_IMAGES)]


@pytest.fixture(scope="module")
def matcher(drawings: list[Image.Image]) -> ImageMatcher:
    matcher = ImageMatcher(LIMITS)
    for image in drawings:
        matcher.add(image, 0)
    return matcher


def found(matcher: ImageMatcher, image: Image.Image) -> list[int]:
    matches, _ = matcher.search(image)
    return [match.number for match in matches if match.grade(LIMITS) == "same"]


def test_resampling_keeps_a_constant_and_its_windows_stay_inside() -> None:
    for window in CUTS:
        matrix = resampling(64, window)
        assert matrix.sum(1) == pytest.approx(1)
        assert (matrix >= 0).all()


def test_likeness_is_one_for_a_map_and_itself_and_ignores_scale() -> None:
    values = sketch(drawing(random.Random(3))).maps[0][:32, :32].astype("float32")
    assert likeness(values, values * 3 + 5, None) == pytest.approx(1, abs=1e-4)
    assert likeness(values, -values, None) == pytest.approx(-1, abs=1e-4)
    assert likeness(values * 0, values * 0, None) == 0
    assert unit(values * 0).max() == 0


@pytest.mark.parametrize("kind", ["jpeg", "cropped", "recoloured"])
def test_altered_copies_are_found(matcher: ImageMatcher, drawings: list[Image.Image], kind: str) -> None:
    rng = random.Random(1)
    hits = [number in found(matcher, altered(image, kind, rng).open()) for number, image in enumerate(drawings)]
    assert sum(hits) >= NUM_IMAGES - 1


def test_a_copy_that_was_cropped_recoloured_and_compressed_is_mostly_found(
    matcher: ImageMatcher, drawings: list[Image.Image]
) -> None:
    rng = random.Random(2)
    copies = [altered(cropped(recoloured(image, rng), rng), "jpeg", rng).open() for image in drawings]
    assert sum(number in found(matcher, copy) for number, copy in enumerate(copies)) >= NUM_IMAGES * 0.8


def test_the_benchmark_may_hold_the_cropped_one(drawings: list[Image.Image]) -> None:
    rng = random.Random(4)
    matcher = ImageMatcher(LIMITS)
    for image in drawings:
        matcher.add(cropped(image, rng), 0)
    assert sum(number in found(matcher, image) for number, image in enumerate(drawings)) >= NUM_IMAGES - 1
    matcher.close()


def test_other_images_are_not_found(matcher: ImageMatcher) -> None:
    rng = random.Random(99)
    assert [found(matcher, drawing(rng)) for _ in range(100)] == [[]] * 100


def test_where_pictures_are_alike_a_copy_must_be_more_alike() -> None:
    rng = random.Random(5)

    def chart() -> Image.Image:
        image = Image.new("RGB", (150, 100), "white")
        pen = ImageDraw.Draw(image)
        for bar in range(6):
            pen.rectangle((10 + 22 * bar, rng.randint(10, 85), 25 + 22 * bar, 90), fill="navy")
        return image

    charts = [chart() for _ in range(60)]
    matcher = ImageMatcher(LIMITS)
    for image in charts:
        matcher.add(image, 0)
    assert sum(bool(found(matcher, chart())) for _ in range(60)) <= 8
    copies = [altered(image, "jpeg", rng).open() for image in charts]
    assert all(number in found(matcher, copy) for number, copy in enumerate(copies))
    matcher.close()


def test_grids_whose_tiles_are_the_blocks_are_told_apart() -> None:
    rng = random.Random(5)

    def grid() -> Image.Image:
        image = Image.new("RGB", (128, 128), "white")
        pen = ImageDraw.Draw(image)
        for place in range(16):
            left, top = place % 4 * 32 + 2, place // 4 * 32 + 2
            colour = rng.choice(["red", "blue", (0, 160, 0), (240, 200, 0)])
            pen.rectangle((left, top, left + 27, top + 27), fill=colour)
        return image

    grids = [grid() for _ in range(80)]
    matcher = ImageMatcher(Limits())
    for image in grids:
        matcher.add(image, 0)
    assert sum(bool(found(matcher, grid())) for _ in range(80)) <= 4
    copies = [altered(image, "cropped", rng).open() for image in grids]
    assert sum(number in found(matcher, copy) for number, copy in enumerate(copies)) >= 50


def test_a_blank_image_is_like_no_other(drawings: list[Image.Image]) -> None:
    matcher = ImageMatcher(LIMITS)
    assert matcher.add(Image.new("RGB", (50, 50), "red"), 0)
    assert not matcher.add(drawings[0], 0)
    assert matcher.search(Image.new("RGB", (50, 50), "red")) == ([], True)
    matcher.close()


def test_small_and_thin_images_are_sketched() -> None:
    for size in ((1, 1), (3, 500), (5000, 2)):
        assert sketch(Image.new("RGB", size, "white")).blank


def test_equal_pixels_match_in_full(matcher: ImageMatcher, drawings: list[Image.Image]) -> None:
    matches, is_blank = matcher.search(drawings[7].copy())
    assert (matches[0].number, matches[0].brightness, matches[0].distance, is_blank) == (7, 1.0, 0, False)
    assert isinstance(altered(drawings[7], "jpeg", random.Random(0)), ImageRef)
