"""What documents are made of, as data: a TOML file for each kind, of ours beside this one or in a folder of the user's.

A file has a `description` and `blocks`, each with a `kind` (KINDS says what each shows) and, where they matter, a
`heading`, a `label` before what it shows, and limits: `most` parts, `words` of a paragraph, `characters` of a post.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from stt_lab.errors import BadInput, Unavailable

Kind = Literal[
    "title",  # what the text is about, as the heading of the whole
    "summary",  # a paragraph
    "sections",  # a heading and a paragraph for each subject
    "points",  # sentences that say most, as a list
    "quotes",  # word for word
    "speakers",  # who speaks
    "names",  # people, organisations and places that are named
    "actions",  # who does what by when
    "decisions",  # what was agreed
    "open",  # questions that nobody answered
    "chapters",  # where each subject begins
    "terms",  # what something is said to be
    "cards",  # questions with answers
    "quiz",  # questions with answers to choose from
    "post",  # an opening, points and tags
    "posts",  # short posts
]
KINDS: tuple[str, ...] = get_args(Kind)
FOLDER = Path(__file__).parent
STRICT: dict[str, str] = {"extra": "forbid"}  # for pydantic: a field that is not here is a mistake
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Block:
    """A part of a document."""

    __pydantic_config__ = STRICT

    kind: Kind
    heading: str = ""
    label: str = ""
    most: int = 5
    words: int = 60
    characters: int = 280


@dataclass(frozen=True)
class Template:
    """A kind of document."""

    __pydantic_config__ = STRICT

    name: str
    description: str
    blocks: tuple[Block, ...]
    aliases: tuple[str, ...] = ()


def template(name: str, folder: Path | None = None) -> Template:
    """The template of that name or alias, the user's own first. Raises BadInput, which names those that there are."""
    for place in filter(None, (folder, FOLDER)):
        if _NAME.fullmatch(name) and (place / f"{name}.toml").is_file():
            return read(place / f"{name}.toml")
    named = next((known for known in shipped() if name in known.aliases), None)
    if named is None:
        raise BadInput(f"There is no kind of document called {name[:40]!r}: choose one of {', '.join(names(folder))}.")
    return named


def names(folder: Path | None = None) -> tuple[str, ...]:
    """All that can be asked for: ours, then those of the user's folder."""
    ours = [name for known in shipped() for name in (known.name, *known.aliases)]
    own = sorted(path.stem for path in folder.glob("*.toml") if _NAME.fullmatch(path.stem)) if folder else []
    return (*ours, *(name for name in own if name not in ours))


@lru_cache
def shipped() -> tuple[Template, ...]:
    """Ours."""
    return tuple(map(read, sorted(FOLDER.glob("*.toml"))))


def read(path: Path) -> Template:
    """A template of a file. Raises Unavailable for one that cannot be used: that is for its administrator to mend."""
    from pydantic import TypeAdapter, ValidationError

    try:
        told = tomllib.loads(path.read_text("utf-8"))
        return TypeAdapter(Template).validate_python({**told, "name": path.stem})
    except ValidationError as problem:
        first = problem.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError) as problem:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        why = str(problem)
    raise Unavailable(
        f"The template {path.name} of this installation cannot be used ({why}): ask who runs it to mend it."
    )
