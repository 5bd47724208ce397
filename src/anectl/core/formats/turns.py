"""Conversations as the training tools write them: turns of a role and a text, images beside or inside them.

Both key pairs in use are read, `role`/`content` and `from`/`value`, and content as text or as parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from anectl.core.errors import RowError
from anectl.core.formats.marks import place_marks
from anectl.core.formats.placeholders import IMAGE, escape, escape_bare, refuse_other_media, unescape

Role: TypeAlias = Literal["system", "user", "assistant"]
_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


class Turn(NamedTuple):
    """Who speaks, and the text; in a row the text is escaped and may hold placeholders, in a record it is bare."""

    role: Role
    text: str


class Conversation(NamedTuple):
    """The turns of a row as it has them, and the images that stand inside their parts."""

    turns: tuple[Turn, ...]
    images: tuple[object, ...] = ()


def marked(turns: Sequence[Turn], num_images: int) -> list[Turn]:
    """The turns as a row has them: escaped, all placeholders at the front of the first user turn.

    Raises RowError when there are images and no user turn.
    """
    at = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
    if at is None and num_images:
        raise RowError("there are images but no user turn to show them in")
    return [Turn(turn.role, IMAGE * (num_images if i == at else 0) + escape(turn.text)) for i, turn in enumerate(turns)]


def unmarked(turns: Sequence[Turn], num_images: int, *, may_lack: bool = False) -> tuple[Turn, ...]:
    """The turns of a row without placeholders, still escaped; those amid words become `[image 2]`.

    Raises RowError: not one placeholder per image (with `may_lack`, none at all is right too), or other media.
    """
    for turn in turns:
        refuse_other_media(turn.text)
    count = sum(turn.text.count(IMAGE) for turn in turns)
    if count != num_images and not (may_lack and count == 0):
        raise RowError(
            f"{count} {IMAGE} in the text but {num_images} images", hint="each image has one placeholder in the text"
        )
    placed: list[Turn] = []
    before = 0
    front = IMAGE * num_images
    for turn in turns:
        here = turn.text.count(IMAGE)
        if turn.text.startswith(front) and here == num_images:
            # As we write them: nothing but the placeholders is taken away, not even a line break that follows.
            text = turn.text[len(front) :]
        else:
            text = place_marks(turn.text, (), range(before + 1, before + here + 1))[0]
        placed.append(Turn(turn.role, text))
        before += here
    return tuple(placed)


def unescaped(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The bare turns, as records have them."""
    return tuple(Turn(turn.role, unescape(turn.text)) for turn in turns)


def read_turns(value: object, where: str) -> Conversation:
    """The turns of a list of messages. Raises RowError: no such list, an unknown role, content of another type."""
    if not isinstance(value, (list, tuple)) or not value:
        raise RowError(f"`{where}` is not a list of messages")
    turns: list[Turn] = []
    images: list[object] = []
    for number, message in enumerate(value):
        place = f"{where}[{number}]"
        if not isinstance(message, Mapping):
            raise RowError(f"`{place}` is not a message but {type(message).__name__}")
        role = message.get("role", message.get("from"))
        if not isinstance(role, str) or role not in _ROLES:
            raise RowError(f"`{place}` has the role {role!r}", hint="roles are system, user (human), assistant (gpt)")
        content = message["content"] if "content" in message else message.get("value")
        turns.append(Turn(_ROLES[role], "".join(_content(content, place, images))))
    return Conversation(tuple(turns), tuple(images))


def _content(content: object, place: str, images: list[object]) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    if not isinstance(content, (list, tuple)) or not content:
        raise RowError(f"the content of `{place}` is neither text nor a list of parts")
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            yield escape_bare(part["text"])
        elif kind == "image":
            image = part.get("image") or part.get("url") or part.get("path")
            if image is not None:
                images.append(image)
            yield IMAGE
        elif kind == "image_url":
            url = part.get("image_url")
            images.append(url.get("url") if isinstance(url, Mapping) else url)
            yield IMAGE
        else:
            raise RowError(f"`{place}` has a part that is neither text nor an image: {str(part)[:80]}")
