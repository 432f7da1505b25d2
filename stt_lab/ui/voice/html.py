"""Render the results of the Voice tab. voice.js plays the comparison; page.js seeks by clicks on a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from stt_lab.text import clock
from stt_lab.ui.html import notice
from stt_lab.ui.voice.pictures import COLUMNS, SoundPicture

GATE = (
    '<div class="stt-notice" role="status">Please <a href="sign-in">sign in</a> with your key to clean recordings and '
    "to have texts spoken.</div>"
)


def empty(first: str, second: str) -> str:
    return f'<div class="stt-empty"><p>{escape(first)}</p><p>{escape(second)}</p></div>'


@dataclass(frozen=True)
class Levels:
    """Loudness before and after in LUFS; None for silence and for sounds under 0.4 s."""

    before: float | None
    after: float | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Levels:
        """Read the headers of an enhanced recording."""
        before, after = (headers.get(f"X-Loudness-{name}", "") for name in ("Before", "After"))
        return cls(float(before) if before else None, float(after) if after else None)

    @property
    def difference(self) -> float:
        """Return by how many dB the result is louder; 0 if that is not known."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before

    def gains(self, peak_before: float, peak_after: float) -> tuple[float, float]:
        """Return the gains in dB with which both are equally loud, and no peak exceeds full scale."""
        room = [-20 * math.log10(max(peak, 1e-6)) for peak in (peak_before, peak_after)]
        down = max(0.0, self.difference - room[0])
        return self.difference - down, -down


@dataclass(frozen=True)
class Sound:
    """A sound that the page plays."""

    title: str
    name: str  # of its file
    address: str
    picture: SoundPicture
    loudness: float | None = None  # LUFS
    gain: float = 0.0  # dB, for a comparison


def renamed(name: str, what: str) -> str:
    """Return the name of a file that was made of another one."""
    return f"{PurePath(name).stem[:80] or 'recording'}-{what}"


def comparison(sounds: Sequence[Sound], levels: Levels, warnings: Sequence[str]) -> str:
    """Render the original and the result, which can be played at equal loudness."""
    equal = ""
    if levels.before is not None and levels.after is not None:
        shown = " and ".join(f"{sound.title.lower()} {sound.gain:+.1f} dB" for sound in sounds if sound.gain) or "as is"
        equal = (
            '<label class="voice-equal"><input type="checkbox" data-equal checked> '
            f"<span>Equal loudness <small>({escape(shown)})</small></span></label>"
        )
    bar = (
        f'<div class="voice-bar">{equal}<button type="button" class="stt-button" data-other="1">'
        "Switch to the other, same place</button></div>"
    )
    last = len(sounds) - 1
    rows = "".join(_sound(sound, download=number == last) for number, sound in enumerate(sounds))
    return f'<div class="voice-made voice-compare">{_warnings(warnings)}{bar}{rows}</div>'


def speech(sound: Sound, headers: Mapping[str, str], warnings: Sequence[str]) -> str:
    """Render speech, and what is known about it."""
    facts = [
        f"took {float(headers.get('X-Generation-Time', 0)):.1f} s",
        f"model {headers.get('X-Engine', '')}",
        f"similarity {headers.get('X-Similarity', '')}",
        "marked as synthetic",
    ]
    return f'<div class="voice-made">{_warnings(warnings)}{_sound(sound, facts, download=True)}</div>'


def _warnings(warnings: Sequence[str]) -> str:
    return "".join(notice(text, "warning") for text in warnings)


def _sound(sound: Sound, facts: Sequence[str] = (), download: bool = False) -> str:
    picture, name = sound.picture, escape(sound.name)
    known = [clock(picture.duration), *facts]
    known += [] if sound.loudness is None else [f"{sound.loudness:.1f} LUFS"]
    shown = "".join(f"<li>{escape(fact)}</li>" for fact in known)
    save = f'<a class="stt-button" href="{escape(sound.address)}" download="{name}">Download</a>' if download else ""
    return (
        f'<section class="stt-result voice-sound" data-duration="{picture.duration:.3f}" data-gain="{sound.gain:.2f}" '
        f'aria-label="{escape(sound.title)}"><div class="stt-head"><h3>{escape(sound.title)}</h3>'
        f'<ul class="stt-facts">{shown}</ul>{save}</div>'
        f'<div class="stt-player"><audio controls preload="metadata" src="{escape(sound.address)}" '
        f'aria-label="{escape(sound.title)}: {name}"></audio>'
        f'<p class="stt-silent" hidden>This browser cannot play {name}.</p></div>'
        f'<div class="voice-picture" data-lane="1"><svg viewBox="0 0 {COLUMNS - 1} 2" preserveAspectRatio="none" '
        f'role="img" aria-label="Waveform"><path d="{picture.waveform}"/></svg>'
        f'<img alt="Spectrogram, 0 to 8 kHz" src="data:image/png;base64,{picture.spectrogram}">'
        f'<i class="voice-playhead"></i></div></section>'
    )
