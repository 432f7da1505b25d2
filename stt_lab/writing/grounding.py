"""Check whether the cited sentences support what a language model wrote.

Support cannot be proven; these are signs against it: the meanings are far apart, or the statement contains a number, a
name or an address that the sentences do not, or markup, or part of the model's own instructions, or it repeats itself.
Statements with any such sign are dropped. A lost negation is not detected.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stt_lab.text.words import words
from stt_lab.writing.annotated_text import GroundedStatement
from stt_lab.writing.prompts import INSTRUCTIONS
from stt_lab.writing.tools import Tools

NEAR = 0.45  # least cosine to the closest cited sentence, or to all together (eval/LOG.md)
RUN = 8  # consecutive words that a statement and the instructions do not share by chance
ROUNDS = 2  # times that the same three words may occur in a statement
JOINERS = "\u200c\u200d"  # invisible, but part of some scripts
NOUNS_IN_CAPITALS = ("de", "lb")  # languages in which a capital letter does not mark a name
_OPENING = re.compile(r"^(?:[#>*+|=~`-]+\s*)+")  # opens a heading, a quote, a list ...
_MARKUP = re.compile(r"!\[|\]\s*[(\[]|<[a-z/!?]", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,30}:[/\\]|(?:data|javascript|vbscript|mailto|tel):)[^\s<>\"'()\[\]]+"
    r"|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    r"|(?:[\w-]{1,63}\.){1,10}[^\W\d_]{2,}(?::\d+)?(?:/[^\s<>\"'()\[\]]*)?"
)
_INSIDE = re.compile(r"(?<=[^\s.!?:\"“„«(]\s)[^\W\d_][\w'’-]*")  # words inside a sentence


def plain(written: str) -> str:
    """Return a text on one line, without invisible characters and without marks that open a heading, a list or a
    quote."""
    seen = (char for char in written if char.isspace() or char in JOINERS or unicodedata.category(char)[0] != "C")
    return _OPENING.sub("", " ".join("".join(seen).split()))


def grounded(
    tools: Tools, statements: Sequence[GroundedStatement], language: str | None, near: float = NEAR
) -> list[bool]:
    """Return for each statement whether no sign speaks against it. `near` is the least cosine to the cited
    sentences."""
    clean = [one for one in statements if not _strange(one.text)]
    right = {
        id(one)
        for one, close in zip(clean, nearness(tools, clean), strict=True)
        if close >= near and _known(tools, one, language)
    }
    return [id(one) in right for one in statements]


def _strange(text: str) -> bool:
    """Return whether a text is no plain statement."""
    empty = not any(map(str.isalnum, text))
    return empty or bool(_MARKUP.search(text)) or goes_round(text) or any(repeats(text, one) for one in INSTRUCTIONS)


def goes_round(text: str) -> bool:
    """Return whether a text repeats the same three words over and over, as weak models do."""
    said = words(text)
    runs = Counter(zip(said, said[1:], said[2:], strict=False))
    return max(runs.values(), default=0) > ROUNDS


def nearness(tools: Tools, statements: Sequence[GroundedStatement]) -> Iterator[float]:
    """Yield the cosine of each statement to the closest sentence that it cites, or to all of them as one text."""
    groups = [(one.text, one.said, *(cited.text for cited in one.cited)) for one in statements]
    vectors = tools.embed([text for group in groups for text in group]) if groups else ()
    place = 0
    for group in groups:
        yield float((vectors[place + 1 : place + len(group)] @ vectors[place]).max())
        place += len(group)


def _known(tools: Tools, statement: GroundedStatement, language: str | None) -> bool:
    """Return whether all numbers, names and addresses of a statement occur in the sentences that it cites."""
    return (
        quantities(statement.text) <= quantities(statement.said)
        and addresses(statement.text) <= addresses(statement.said)
        and _names(tools, statement.text, language) <= set(words(statement.said))
    )


def _names(tools: Tools, text: str, language: str | None) -> set[str]:
    """Return the words that name somebody or something: by grammar if a parser is installed, and by capital letters."""
    names = [] if language in NOUNS_IN_CAPITALS else [one for one in _INSIDE.findall(text) if one[0].isupper()]
    if tools.parser(language):
        names += [token.of(text) for token in tools.parse(text, language).tokens if token.pos == "PROPN"]
    return {word for name in names for word in words(name) if len(word) > 1}


def addresses(text: str) -> set[str]:
    """Return everything that a reader's program might turn into a link, normalized for comparison."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return {found.rstrip(".,;:!?") for found in _ADDRESS.findall(seen)}


def repeats(text: str, instructions: str) -> bool:
    """Return whether a text contains a stretch of the instructions, word by word."""
    spoken, given = words(text), words(instructions)
    runs = {tuple(given[place : place + RUN]) for place in range(len(given) - RUN + 1)}
    return any(tuple(spoken[place : place + RUN]) in runs for place in range(len(spoken) - RUN + 1))


# Numbers in any notation: "4,000", "four thousand" and "4000" are equal

_SMALL = re.findall(
    r"\w+",
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES = {word: value for value, word in enumerate(_SMALL)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[,.;:!?]")
_GROUPS = re.compile(r"(?<=\d)[,.](?=\d{3}(?!\d))")  # thousands separators


def quantities(text: str) -> set[str]:
    """Return every number in a text as digits; "one" alone does not count, it is mostly a pronoun."""
    found: set[str] = set()
    spoken: list[str] = []  # consecutive number words
    for word in [*_WORD.findall(text.lower()), ""]:
        if word in _VALUES or word in _SCALES or (word == "and" and spoken):
            spoken.append(word)
            continue
        found |= set() if spoken in ([], ["one"], ["one", "and"]) else _said(spoken)
        found |= {_GROUPS.sub("", word)} if word[:1].isdigit() else set()
        spoken = []
    return found


def _said(spoken: list[str]) -> set[str]:
    """Return the numbers in consecutive number words; for years ("nineteen eighty-four") also two as one."""
    values = list(_values(spoken))
    return {*values, *(first + second for first, second in pairwise(values) if len(first) == len(second) == 2)}


def _values(spoken: list[str]) -> Iterator[str]:
    """Yield the values of number words: "two hundred and five" is one, "nineteen eighty-four" are two."""
    total = part = 0
    for word in spoken:
        if word in _VALUES:
            value = _VALUES[word]
            if part % 10 or (part and value >= 10 and part % 100):  # a new number begins
                yield str(total + part)
                total = part = 0
            part += value
        elif word == "hundred":
            part = max(1, part) * 100
        elif word in _SCALES:
            total, part = total + max(1, part) * _SCALES[word], 0
    yield str(total + part)
