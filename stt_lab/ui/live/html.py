"""Render the Live tab. live.js finds its parts by their ids, and puts text into them as text only."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from stt_lab.text import LANGUAGES

GATE = (
    '<div class="stt-notice" role="status">Please <a href="sign-in">sign in</a> with your key to turn live speech '
    "into text.</div>"
)
INSECURE = (
    '<div class="stt-notice warning" id="live-insecure">This page cannot use a microphone: browsers allow it only on '
    "pages with https, and on localhost. Open this server by an address with https, or on its own machine.</div>"
)
PANEL = """<section class="live-panel" aria-label="Live text">
<div class="live-head"><p id="live-state" role="status">Not started.</p>
<div class="live-figures"><span id="live-lag" hidden></span>
<span id="live-elapsed" title="Sound so far">0:00</span></div>
<div id="live-level" aria-hidden="true"><i></i></div></div>
<div id="live-text" class="stt-window" tabindex="0" role="region" aria-label="Text">
<p id="live-empty">The text appears here while you speak. Grey words may still change.</p>
<ol id="live-finals" aria-live="polite" dir="auto"></ol>
<p id="live-partial" dir="auto"><span id="live-stable"></span><span id="live-unstable"></span></p></div>
<div id="live-actions" class="stt-downloads" hidden>
<button type="button" class="stt-button" id="live-copy">Copy</button>
<button type="button" class="stt-button" id="live-save">Save as TXT</button></div>
<div id="live-kept" class="stt-notice done" hidden></div><div id="live-earlier"></div></section>"""


def form(models: Iterable[tuple[str, str]], chosen: str) -> str:
    """Render the controls. `models`: pairs of id and name; `chosen`: the id of the default."""
    languages = sorted((name.title(), code) for code, name in LANGUAGES.items())
    every = [("auto", "Detect automatically"), *((code, name) for name, code in languages)]
    return (
        f'{INSECURE}<div class="live-form" role="group" aria-label="Live speech">'
        f"{_select('microphone', 'Microphone', [('', 'Default microphone')], '')}"
        f"{_select('model', 'Model', models, chosen)}{_select('language', 'Language', every, 'auto')}"
        '<label class="live-check"><input type="checkbox" id="live-store" aria-describedby="live-store-hint">'
        "<span>Keep it in the library</span></label>"
        '<p class="live-hint" id="live-store-hint">Keeps transcript and recording. Otherwise the server keeps '
        "nothing.</p>"
        '<div class="live-buttons"><button type="button" id="live-start" class="live-button live-primary">Start'
        '</button><button type="button" id="live-pause" class="live-button" disabled>Pause</button></div></div>'
    )


def _select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> str:
    shown = "".join(
        f'<option value="{escape(value)}"{" selected" * (value == chosen)}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label for="live-{name}">{label}</label><select id="live-{name}">{shown}</select>'
