"""Phonemes of texts by espeak-ng, in the alphabet that Kokoro was trained with.

The library comes with the package espeakng-loader (GPL-3.0, loaded at run time); where that is missing, the system's
libespeak-ng serves. Its state is one for the whole process, so calls take turns.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import re
import threading
import unicodedata
from functools import lru_cache
from pathlib import Path

from stt_lab.errors import ModelMissing

VOICES = {  # language -> espeak-ng's voice
    "en": "en-us",
    "es": "es",
    "fr": "fr",
    "hi": "hi",
    "it": "it",
    "pt": "pt-br",
}
SYNCHRONOUS = 2  # output mode of espeak_Initialize: no sound device
UTF8 = 1
IPA_WITH_TIES = 0x02 | 0x80 | (ord("^") << 8)  # IPA, and "^" between letters that are one sound
KEPT = ';:,.!?—…"()“” '  # marks that Kokoro hears
_MARKS = re.compile(r"([;:,.!?—…\"()“”]+)")
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")  # espeak-ng marks foreign words so
SAME = {"¡": "", "¿": "", "«": "“", "»": "”", "„": "“", "–": "—", "।": ".", "、": ",", "。": ".", "！": "!", "？": "?"}
ENGLISH = (  # what espeak-ng writes and what the English voices were trained with (misaki's table); order matters
    ("ʔˌn̩", "tᵊn"), ("ʔn̩", "tᵊn"), ("ʔn", "tᵊn"), ("ʔ", "t"), ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"),
    ("e^ɪ", "A"), ("ɔ^ɪ", "Y"), ("o^ʊ", "O"), ("ə^l", "ᵊl"), ("ʲ", ""), ("ɚ", "əɹ"), ("r", "ɹ"), ("x", "k"), ("ç", "k"),
    ("ɐ", "ə"), ("ɬ", "l"), ("̃", ""), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪ^ə", "iə"), ("ː", ""), ("o", "ɔ"), ("ɾ", "T"),
    ("e", "A"), ("n̩", "ᵊn"), ("l̩", "ᵊl"),
)  # fmt: skip
OTHERS = (("d^z", "ʣ"), ("d^ʒ", "ʤ"), ("t^s", "ʦ"), ("t^ʃ", "ʧ"))

_lock = threading.Lock()


def phonemes(text: str, language: str) -> str:
    """Return the phonemes of a text with its punctuation. Raises ModelMissing without espeak-ng."""
    made = []
    for piece in _MARKS.split(_plain(text)):
        if piece and all(char in KEPT for char in piece):
            made.append(f"{piece} ")
        elif piece.strip():
            made.append(_mapped(_spoken(piece.strip(), language), language))
    return re.sub(r"\s+", " ", "".join(made)).strip()


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    return "".join(SAME.get(char, char) for char in text)


def _mapped(ipa: str, language: str) -> str:
    ipa = _LANGUAGE_SWITCH.sub("", ipa)
    for found, wanted in ENGLISH if language == "en" else OTHERS:
        ipa = ipa.replace(found, wanted)
    return ipa.replace("^", "")


def _spoken(text: str, language: str) -> str:
    """Return espeak-ng's IPA of a text without punctuation."""
    with _lock:
        library = _library()
        if library.espeak_SetVoiceByName(VOICES[language].encode()):
            raise ModelMissing(f"espeak-ng has no rules for '{language}'. Install its data, or use another language.")
        rest = ctypes.c_char_p(text.encode())
        parts = []
        while rest.value:
            said = library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA_WITH_TIES)
            parts.append((said or b"").decode("utf-8", "replace").strip())
    return " ".join(part for part in parts if part)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    path, data = _places()
    if not path:
        raise ModelMissing(
            "Speaking needs espeak-ng. Run `pip install espeakng-loader`, or install espeak-ng with the system."
        )
    library = ctypes.CDLL(path)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    if library.espeak_Initialize(SYNCHRONOUS, 0, data.encode() if data else None, 0) < 0:
        raise ModelMissing("espeak-ng's data cannot be read. Reinstall espeakng-loader.")
    return library


def installed() -> bool:
    """Return whether espeak-ng is here, without loading it."""
    return _places()[0] is not None


def _places() -> tuple[str | None, str | None]:
    """Return the paths of the library and of the folder with its data; None for the system's own data."""
    spec = importlib.util.find_spec("espeakng_loader")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else None
    names = ("libespeak-ng.so", "libespeak-ng.dylib", "espeak-ng.dll")
    found = next((folder / name for name in names if folder and (folder / name).is_file()), None)
    if found is not None:
        return str(found), str(found.parent / "espeak-ng-data")
    return ctypes.util.find_library("espeak-ng"), None
