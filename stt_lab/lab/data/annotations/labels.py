"""Labels that are no words: silence, noise, laughter, and what nobody understood."""

from __future__ import annotations

import re

from stt_lab.lab.data.items import Flaw

__all__ = ["BARE", "FIX", "is_event", "without_events", "word_of"]

# What aligners write where nobody speaks, without brackets: HTK, Kaldi, Julius, the Montreal Forced Aligner
# fmt: off
BARE = frozenset([
    "sil", "sp", "spn", "silb", "sile", "!sil", "!ent_sil", "!exit", "!sent_start", "!sent_end", "<p:>", "#", "@",
    "%hesitation", "(%hesitation)",
])
# The same, and noises, in brackets of any kind; points stand for blanks
NAMED = frozenset([
    "sil", "sl", "sp", "spn", "p", "p:", "eps", "epsilon", "s", "/s", "silence", "silence.", "pause", "gap", "overlap",
    "noise", "background.noise", "nsn", "vn", "ns", "nib", "usb", "bg", "sta", "tr", "static", "hum", "beep", "ring",
    "tone", "click", "crosstalk", "music", "music.playing", "song", "singing", "applause", "clapping", "cheering",
    "cheers", "br", "brth", "breath", "breathing", "inhale", "exhale", "cough", "coughs", "cg", "sneeze", "throat",
    "clears.throat", "laugh", "laughs", "laughing", "laughter", "lg", "chuckles", "ls", "lipsmack", "smack", "sigh",
    "sighs", "gasp", "gasps", "non-speech", "nonspeech", "no.speech", "no.audio", "blank_audio", "blank.audio",
])
FILLERS = frozenset(["uh", "um", "uhm", "er", "erm", "ah", "eh", "hm", "mm", "mhm"])  # said, in brackets or not
UNKNOWN = frozenset([
    "unk", "oov", "unknown", "unintelligible", "inaudible", "indiscernible", "indistinct", "foreign", "xxx", "???",
])
# fmt: on
BRACKETS = re.compile(r"<([^<>]{1,40})>|\[([^\[\]]{1,40})\]|\{([^{}]{1,40})\}|\+{1,2}([^\s+]{1,40})\+{1,2}")
WRITTEN = re.compile(r"<([^<>]{1,40})>|\[([^\[\]]{1,40})\]|\(([^()]{1,40})\)|[♪♫]+")  # within a text
FIX = "write the word, or take the stretch out of the reference"


def is_event(label: str, where: str) -> bool:
    """Return whether the label of a word stands for a sound that is no word.

    Raises Flaw for a label in brackets that is not known, and for words that nobody understood: without them the
    reference is incomplete.
    """
    plain = label.strip().casefold()
    if plain in BARE:
        return True
    found = BRACKETS.fullmatch(plain)
    if found is None:
        return False
    name = _name(found)
    if name in NAMED or name in FILLERS:
        return name in NAMED
    what = "stands for a word that is not known" if name in UNKNOWN else "is neither a word nor a known label"
    raise Flaw(f"{where}: {label[:40]!r} {what}", FIX)


def without_events(text: str, where: str) -> str:
    """Return the words of a running text: [music], (laughs) and notes of music are removed, other brackets stay.

    Raises Flaw for words that nobody understood, such as [inaudible].
    """

    def kept(found: re.Match[str]) -> str:
        name = _name(found)
        if name in UNKNOWN:
            raise Flaw(f"{where}: {found[0]!r} stands for words that are not known", FIX)
        return "" if not name or name in NAMED else found[0]

    return " ".join(WRITTEN.sub(kept, text).split())


def _name(found: re.Match[str]) -> str:
    """Return what stands between the brackets, with points for blanks."""
    return ".".join("".join(found.groups("")).casefold().split())


def word_of(token: str) -> str:
    """Return the word of a token in NIST's notation: of country(2), %uh, {UH} and (maybe) these are the letters."""
    if (found := BRACKETS.fullmatch(token)) and _name(found) in FILLERS:
        return token.strip("<>[]{}+")
    plain = re.sub(r"(?<=\w)\([0-9]{1,2}\)\Z", "", token)
    if plain == token:
        plain = plain.strip("()")
    return plain[1:] if re.match(r"%[^\W\d_]", plain) else plain
