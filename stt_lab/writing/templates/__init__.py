"""Templates of documents: one TOML file per type, built in or in a folder of the user.

A file has a `description` and `blocks`, and optionally a `title` and another one for `excerpts`. Each block has a
`kind` (see `Kind`) and optionally a `heading`, a `label` before its content, and limits: `most` items, `words` of a
paragraph, `characters` of a post.
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
    "title",  # subject of the text, as the heading of the document
    "summary",  # a paragraph
    "sections",  # a heading and a paragraph per subject
    "points",  # most important sentences, as a list
    "quotes",  # verbatim
    "speakers",  # list of speakers
    "names",  # people, organizations and places
    "actions",  # who does what by when
    "decisions",  # what was agreed
    "open",  # unanswered questions
    "chapters",  # start of each subject
    "terms",  # definitions
    "cards",  # questions with answers
    "quiz",  # multiple-choice questions
    "post",  # an opening, points and hashtags
    "posts",  # short posts
]
KINDS: tuple[str, ...] = get_args(Kind)
FOLDER = Path(__file__).parent
STRICT: dict[str, str] = {"extra": "forbid"}  # pydantic configuration: unknown fields are errors
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
    """A type of document."""

    __pydantic_config__ = STRICT

    name: str
    description: str
    blocks: tuple[Block, ...]
    aliases: tuple[str, ...] = ()
    title: str = ""
    excerpts: str = ""  # its title if it is made of sentences of the text, if that is not the same

    def called(self, written: bool) -> str:
        """Return the title of a document, by whether a language model wrote it."""
        return (not written and self.excerpts) or self.title or self.name.replace("_", " ").capitalize()


def template(name: str, folder: Path | None = None) -> Template:
    """Return the template of a name or alias, the user's own first. Raises BadInput that lists the known names."""
    for place in filter(None, (folder, FOLDER)):
        if _NAME.fullmatch(name) and (place / f"{name}.toml").is_file():
            return read(place / f"{name}.toml")
    named = next((known for known in shipped() if name in known.aliases), None)
    if named is None:
        raise BadInput(f"The document type {name[:40]!r} does not exist. Use one of {', '.join(names(folder))}.")
    return named


def names(folder: Path | None = None) -> tuple[str, ...]:
    """Return all names and aliases: built-in templates first, then those of the user's folder."""
    ours = [name for known in shipped() for name in (known.name, *known.aliases)]
    own = sorted(path.stem for path in folder.glob("*.toml") if _NAME.fullmatch(path.stem)) if folder else []
    return (*ours, *(name for name in own if name not in ours))


@lru_cache
def shipped() -> tuple[Template, ...]:
    """Return the built-in templates."""
    return tuple(map(read, sorted(FOLDER.glob("*.toml"))))


def read(path: Path) -> Template:
    """Read a template file. Raises Unavailable for an invalid one, since only the administrator can fix it."""
    from pydantic import TypeAdapter, ValidationError

    try:
        content = tomllib.loads(path.read_text("utf-8"))
        return TypeAdapter(Template).validate_python({**content, "name": path.stem})
    except ValidationError as problem:
        first = problem.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError) as problem:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        why = str(problem)
    raise Unavailable(f"The template {path.name} of this server is invalid ({why}). Ask the administrator to fix it.")
