"""Render transcripts and progress as HTML.

Gradio inserts HTML unchanged, so that everything from a recording, a file name or a user goes through `escape`. Clicks
are handled by page.js, which reads data attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from stt_lab.jobs.progress import IDLE
from stt_lab.text import LANGUAGES, clock
from stt_lab.transcription.render import render
from stt_lab.types import Event, JobInfo, Segment, Span, Suppressed, Transcript, Turn, Unrecognized, Word
from stt_lab.weights.advice import PLACE

COLOURS = 8  # speaker colours in page.css; a ninth speaker gets the first one again
UNSURE = 0.5  # words with a lower probability are marked
DOWNLOADS = ("txt", "srt", "vtt", "json")
TICKS = 6  # about that many on the time axis
TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # s
STAGE_NAMES = {  # short under the bar, long next to the clock
    "queued": ("Queue", "Waiting in the queue"),
    "decoding": ("Decode", "Decoding the recording"),
    "loading": ("Load", "Loading the model"),
    "transcribing": ("Transcribe", "Transcribing"),
    "diarizing": ("Speakers", "Identifying speakers"),
    "checking": ("Check", "Looking again where words are missing"),
    "joining": ("Join", "Assigning words to speakers"),
    "reading": ("Analyse", "Analysing the text"),
    "writing": ("Write", "Writing"),
    "translating": ("Translate", "Translating"),
    "enhancing": ("Enhance", "Removing noise"),
    "speaking": ("Speak", "Speaking"),
    "downloading": ("Download", "Downloading"),
}
OF_SPEECH = ("queued", "decoding", "loading", "transcribing", "diarizing", "checking", "joining")


@dataclass(frozen=True)
class Recording:
    """A playable recording: address relative to the page, and original file name."""

    name: str
    address: str
    video: bool = False

    @property
    def stem(self) -> str:
        return Path(self.name).stem[:80] or "transcript"


@dataclass(frozen=True)
class Times:
    """Seconds that a recording waited for its turn, that models were loaded for it, and that the work on it took."""

    waited: float
    loading: float
    worked: float


# While it runs


def stages(job: JobInfo, shares: Mapping[str, float]) -> str:
    """Render the progress of a transcription: one step per stage, and the end of its text so far.

    `shares`: the stages in order that the percent counts, with their shares of it.
    """
    names = [stage for stage in OF_SPEECH if stage in shares or stage in IDLE]
    filled = _filled(job.percent * sum(shares.values()) / 100, shares)
    furthest = names.index(job.stage) if job.stage in names else 0
    steps = "".join(
        _step(STAGE_NAMES[stage][0], filled.get(stage, float(number < furthest)), stage == job.stage)
        for number, stage in enumerate(names)
    )
    elapsed = (datetime.now(UTC) - job.created).total_seconds()
    text = f'<p class="stt-so-far" dir="auto">{escape(job.text)}</p>' if job.text else ""
    return (
        f'<div class="stt-stages"><div class="stt-steps" aria-hidden="true">{steps}</div>'
        f'<div class="stt-now" role="status"><span>{_now(job)}</span><span>{clock(elapsed)}</span></div>{text}</div>'
    )


def _now(job: JobInfo) -> str:
    name = STAGE_NAMES[job.stage][1]
    if job.status == "queued":
        return f"{name}, place {job.place} …" if job.place else f"{name} …"
    percent = f" <b>{job.percent:.0f}%</b>" if 0 < job.percent < 100 else ""
    left = f", about {clock(job.eta_s)} left" if job.eta_s is not None else ""
    return f"{name} …{percent}{left}"


def _filled(done: float, shares: Mapping[str, float]) -> dict[str, float]:
    """Return the filled part of each stage, if `done` of all shares is."""
    filled = {}
    for stage, share in shares.items():
        filled[stage] = min(1.0, max(0.0, done / share))
        done -= share
    return filled


def _step(name: str, filled: float, active: bool) -> str:
    kind = "active" if active else "done" if filled >= 1 else "waiting"
    return f'<div class="stt-step {kind}"><i style="--filled:{filled:.3f}"></i><span>{name}</span></div>'


def working(event: Event, elapsed: float) -> str:
    """Render one bar for the current stage, for work without a fixed order of stages."""
    name = STAGE_NAMES[event.stage][1]
    percent = f" <b>{event.fraction:.0%}</b>" if 0 < event.fraction < 1 else ""
    return (
        f'<div class="stt-stages" role="status"><div class="stt-steps" aria-hidden="true">'
        f'<div class="stt-step active"><i style="--filled:{min(1.0, event.fraction):.3f}"></i></div></div>'
        f'<div class="stt-now"><span>{name} …{percent}</span><span>{clock(elapsed)}</span></div></div>'
    )


def notice(text: str, kind: str = "info") -> str:
    """Render a message; `kind`: info, done, warning or error."""
    role = "alert" if kind == "error" else "status"
    return f'<div class="stt-notice {kind}" role="{role}">{escape(text)}</div>'


def model_note(text: str) -> str:
    """Render which model answers; the place that its text names becomes a link."""
    link = f'<a href="#account">{escape(PLACE)}</a>'
    return f'<p class="stt-model-note">{escape(text).replace(escape(PLACE), link)}</p>'


def bar(text: str, done: int, total: int) -> str:
    """Render the progress of a download in bytes; without a total only the text."""
    fraction = min(1.0, done / total) if total else 0.0
    percent = f" <b>{fraction:.0%}</b>" if total else ""
    return (
        f'<div class="stt-stages" role="status"><div class="stt-steps"><div class="stt-step active">'
        f'<i style="--filled:{fraction:.3f}"></i></div></div>'
        f'<div class="stt-now"><span>{escape(text)}{percent}</span></div></div>'
    )


# The result


def empty(anonymous: bool) -> str:
    """Render what is shown before the first transcript."""
    kept = "Transcripts are kept in your library."
    if anonymous:
        kept = 'Without a key, transcripts are not kept. <a href="sign-in">Sign in</a> to keep and correct them.'
    return (
        '<div class="stt-empty"><p>The transcript appears here.</p><p>Upload a file or record with the microphone, '
        'then press Transcribe.</p><p><button type="button" class="stt-button" data-example="1">Try it with an example'
        f"</button></p><p>{kept}</p></div>"
    )


def result(transcript: Transcript, recording: Recording, times: Times) -> str:
    """Render player, timeline, transcript and downloads."""
    warnings = "".join(notice(text, "warning") for text in transcript.warnings)
    if transcript.segments:
        body = timeline(transcript) + _head(transcript, recording, times) + segments(transcript)
    elif transcript.unrecognized:
        note = notice("Somebody may speak in this recording, but no word was understood.")
        body = note + _head(transcript, recording, times) + segments(transcript)
    else:
        body = notice("This recording contains no speech.") + _head(transcript, recording, times)
    return (
        f'<section class="stt-result" data-duration="{transcript.duration:.3f}">'
        f"{player(recording)}{warnings}{body}{_suppressed(transcript.suppressed)}</section>"
    )


def player(recording: Recording) -> str:
    if not recording.address:
        return notice("The recording is not kept without a key, so it cannot be played after the page is loaded again.")
    tag = "video" if recording.video else "audio"
    address, name = escape(recording.address), escape(recording.name)
    return (
        f'<div class="stt-player"><{tag} controls playsinline preload="metadata" src="{address}" aria-label="{name}">'
        f'</{tag}><p class="stt-silent" hidden>This browser cannot play {name}. The transcript is complete.</p></div>'
    )


def _head(transcript: Transcript, recording: Recording, times: Times) -> str:
    worked = sum(made.elapsed for made in transcript.provenance) or times.worked
    facts = [f"{clock(transcript.duration)} of audio"]
    facts += [f"waited {times.waited:.1f} s"] if times.waited >= 1 else []
    facts += [f"models loaded in {times.loading:.1f} s"] if times.loading >= 1 else []
    facts += [f"took {times.worked:.1f} s"]
    facts += [f"RTF {worked / transcript.duration:.2f}"] if transcript.duration else []
    facts += [f"model {transcript.model}"] if transcript.model else []
    facts += [LANGUAGES.get(transcript.language, transcript.language).title()] if transcript.language else []
    count = len(transcript.speakers)
    facts += [f"{count} speaker{'s' * (count > 1)}"] if count else []
    shown = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    files = downloads(kept(transcript, recording.stem))
    place = (
        f'<a class="stt-open" href="#transcript/{transcript.id}">Correct it in the library</a>' if transcript.id else ""
    )
    return f'<div class="stt-head"><ul class="stt-facts">{shown}</ul>{place}{files}</div>'


@dataclass(frozen=True)
class Saved:
    """A file that a download button contains."""

    name: str
    media_type: str
    text: str

    @property
    def label(self) -> str:
        return Path(self.name).suffix[1:].upper()


def kept(transcript: Transcript, stem: str) -> list[Saved]:
    """Render a transcript in all download formats; no files without speech."""
    made = [render(transcript, format) for format in DOWNLOADS if transcript.segments]
    return [Saved(f"{stem}.{each.format}", each.media_type, each.text) for each in made]


def downloads(files: Sequence[Saved]) -> str:
    """Render buttons that contain their file, so that none is stored on the server; the first text can be copied."""
    if not files:
        return ""
    buttons = "".join(
        f'<button type="button" class="stt-button" data-save="{escape(file.name)}" '
        f'data-type="{escape(file.media_type)}">{escape(file.label)}<span hidden>{escape(file.text)}</span></button>'
        for file in files
    )
    copy = '<button type="button" class="stt-button" data-copy="1">Copy</button>'
    return f'<div class="stt-downloads" aria-label="Downloads">{copy}{buttons}</div>'


def segments(transcript: Transcript, words: bool = True) -> str:
    """Render segments. Without `words`, a segment is one text node, in which page.js can mark ranges."""
    before: str | None = None
    rows = []
    shown: list[Segment | Unrecognized] = [*transcript.segments, *transcript.unrecognized]
    for segment in sorted(shown, key=lambda one: one.start):
        if isinstance(segment, Unrecognized):
            rows.append(_unrecognized(segment, transcript.speakers))
            continue
        spelt = words and "".join(word.text for word in segment.words).split() == segment.text.split()
        text = "".join(map(_word, segment.words)).strip() if spelt else escape(segment.text)
        rows.append(_segment(segment, text, transcript.speakers, segment.speaker != before))
        before = segment.speaker
    return f'<div class="stt-transcript" dir="auto">{"".join(rows)}</div>'


def _segment(segment: Segment, text: str, speakers: tuple[str, ...], changed: bool) -> str:
    who = f'<span class="stt-who">{escape(segment.speaker)}</span>' if segment.speaker and changed else ""
    return (
        f'<div class="stt-segment {_colour(segment.speaker, speakers)}{" stt-first" * bool(who)}">'
        f'<button type="button" class="stt-time" data-seek="{segment.start:.3f}">{clock(segment.start)}</button>'
        f'<div>{who}<p data-from="{segment.start:.3f}">{text}</p></div></div>'
    )


def _unrecognized(item: Unrecognized, speakers: tuple[str, ...]) -> str:
    who = f"{item.speaker}: " if item.speaker else ""
    return (
        f'<div class="stt-segment stt-unrecognized {_colour(item.speaker, speakers)}">'
        f'<button type="button" class="stt-time" data-seek="{item.start:.3f}">{clock(item.start)}</button>'
        f"<div>{escape(who)}speech that was not understood, {item.duration:.1f} s</div></div>"
    )


def _word(word: Word) -> str:
    unsure = word.confidence is not None and word.confidence < UNSURE
    title = f' class="stt-unsure" title="confidence {word.confidence:.0%}"' if unsure else ""
    bare = word.text.lstrip()
    space = " " if len(bare) < len(word.text) else ""
    return f'{space}<span data-seek="{word.start:.3f}"{title}>{escape(bare)}</span>'


def _colour(speaker: str | None, speakers: Sequence[str]) -> str:
    return f"stt-s{speakers.index(speaker) % COLOURS}" if speaker in speakers else "stt-s-none"


def _suppressed(items: Iterable[Suppressed]) -> str:
    rows = [
        f'<li><button type="button" class="stt-time" data-seek="{item.start:.3f}">{clock(item.start)}</button>'
        f"<span>{escape(item.text)}</span><em>{escape(item.reason)}</em></li>"
        for item in items
    ]
    if not rows:
        return ""
    passages = "1 passage was" if len(rows) == 1 else f"{len(rows)} passages were"
    return (
        f'<details class="stt-suppressed"><summary>{passages} removed as unlikely to be speech</summary>'
        f"<ul>{''.join(rows)}</ul></details>"
    )


# The timeline


def timeline(transcript: Transcript) -> str:
    """Render a lane per speaker with bars for their turns; a single lane without speakers."""
    if not transcript.duration:
        return ""
    lanes: list[tuple[str, str, list[Span]]] = [
        (speaker, _colour(speaker, transcript.speakers), _spans(transcript, speaker)) for speaker in transcript.speakers
    ] or [("Speech", "stt-s-none", list(transcript.segments))]
    rows = "".join(_lane(name, colour, spans, transcript.duration) for name, colour, spans in lanes)
    return (
        f'<div class="stt-timeline"><div class="stt-lanes">{rows}<i class="stt-playhead"></i></div>'
        f'<div class="stt-axis" aria-hidden="true">{_axis(transcript.duration)}</div></div>'
    )


def _spans(transcript: Transcript, speaker: str) -> list[Span]:
    """Return the turns of a speaker, including overlapping ones; without turns, the segments."""
    turns: list[Turn] = [turn for turn in transcript.turns if turn.speaker == speaker]
    return [*turns] or [segment for segment in transcript.segments if segment.speaker == speaker]


def _lane(name: str, colour: str, spans: Sequence[Span], duration: float) -> str:
    """Render a lane as an SVG whose x axis is time in seconds, stretched to the available width."""
    share = sum(span.duration for span in spans) / duration
    bars = "".join(f'<rect x="{s.start:.2f}" y="0" width="{s.duration:.2f}" height="1"/>' for s in spans)
    return (
        f'<div class="stt-lane {colour}"><span class="stt-name">{escape(name)}<small>{share:.0%}</small></span>'
        f'<svg data-lane="1" viewBox="0 0 {duration:.3f} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(name)}: {len(spans)} turns, {share:.0%} of the time">{bars}</svg></div>'
    )


def _axis(duration: float) -> str:
    step = next((step for step in TICK_STEPS if duration / step <= TICKS), 2 * TICK_STEPS[-1])
    ticks = range(0, int(duration * 0.97) + 1, step)  # none whose label would not fit at the right edge
    return "".join(f'<span style="left:{tick / duration:.2%}">{clock(tick)}</span>' for tick in ticks)
