"""Decode a recording window by window.

The loop over windows is our own, for four reasons: memory does not grow with the file (features are computed window by
window); the language is detected from the encoder's output of the first window, which is encoded only once; the prompt
is cleared where silence was removed; and suppressed text is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stt_lab.engines.protocols import Goal, Search
from stt_lab.engines.regions import Speech
from stt_lab.transcription.loops import repeats
from stt_lab.transcription.second_look import FASTEST
from stt_lab.types import SAMPLE_RATE, Event, Report, Segment, Suppressed, Word
from stt_lab.types.progress import TEXT

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

HOP = 160  # samples per feature frame (10 ms)
WINDOW = 3000  # frames per encoder window (30 s)
REST = 100  # frames of live speech (1 s) behind the last time stamp that are decoded again; in fewer, words come twice
LEAST = 2  # frames of sound; one position of the encoder is made of two
SHORTEST_STEP = 20  # minimal frames between starts of windows, however early the text of one ends
NEIGHBOURS = 2  # neighbouring frames on either side that a frame's analysis (25 ms, centred) covers
DETECTED = 750  # encoder positions (15 s) for detecting the language of short sound, whose rest is padding
DETECTION_WINDOWS = 3  # windows tried for detecting the language while none is certain
TAIL = 200  # frames of silence (2 s) behind a short stretch
RECORDING_TAIL = 400  # behind a short recording; WER of base was 10.1 % with 2 s, 8.5 with 4, 8.3 with 30 (eval/LOG.md)
LOOP = 3  # tokens, and more, that come twice in a row in a loop
TOKENS, TOKENS_S = 16, 6  # most tokens of a short stretch, and more for each second of it
UNLIKELY = 0.1  # mean probability of words below which a segment is noise; real speech had 0.24 and more (eval/LOG.md)
SURE = 0.5  # probability at which a language is accepted at once

OPTIONS: dict[str, Any] = {  # values of the Whisper paper (Radford et al. 2022, section 4.5)
    "beam_size": 5,
    "best_of": 5,
    "patience": 1,
    "length_penalty": 1,
    "repetition_penalty": 1,
    "no_repeat_ngram_size": 0,
    "log_prob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "compression_ratio_threshold": 2.4,
    "condition_on_previous_text": True,
    "prompt_reset_on_temperature": 0.5,
    "temperatures": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "suppress_blank": True,
    "max_initial_timestamp": 1.0,
}
SEARCHES: dict[Search, dict[str, Any]] = {  # live speech cannot wait for samples; short recordings get them in "full"
    "full": {},
    "short": {"temperatures": [0.0]},
    "greedy": {"beam_size": 1, "best_of": 1, "temperatures": [0.0]},
    "beam": {"beam_size": 3, "best_of": 3, "temperatures": [0.0]},  # as many errors as with 5, in less time
    "padded": {"temperatures": [0.0]},
}
PREPEND, APPEND = (
    "\"'“¿([{-",
    "\"'.。,，!！?？:：”)]}、",
)  # punctuation that belongs to the next word, and to the previous word


class Decoding:
    """The state of one recording, or of a short stretch of it, while its windows are decoded.

    A window of a short stretch ends with TAIL of silence instead of 30 s after its start, which takes the encoder a
    fraction of the time; that is safe with a limit for the tokens, because what goes wrong there are loops.
    """

    def __init__(
        self,
        model: WhisperModel,
        speech: Speech,
        language: str | None,
        goal: Goal,
        report: Report,
        short: bool = False,
        search: Search = "full",
    ) -> None:
        self.model, self.speech, self.progress = model, speech, _Progress(report)
        self.short, self.search = short and search != "padded", search
        self._tail = RECORDING_TAIL if search == "short" else TAIL
        self.live = search in ("greedy", "beam", "padded")
        self.language, self.goal = language, goal
        self.suppressed: list[Suppressed] = []
        self.doubtful = False  # whether a window of 30 s should be tried instead of a short one
        self._options: Any = None
        self._tokenizer: Any = None
        self._whole: Any = None  # features of sound that fits into one window
        self._last_speech = 0.0  # packed seconds at which the last word ended

    def segments(self) -> Iterator[Segment]:
        frames = self.speech.samples // HOP
        seek, prompt = 0, _Prompt()
        while frames - seek >= (REST if self.live and seek else LEAST):
            self.progress.reach(seek / frames)
            size = min(WINDOW, frames - seek)
            encoded = self._encode(seek, size)
            self.progress.pause()
            if self._tokenizer is None:
                self._prepare(encoded, frames)
            prompt.enter(self.speech.region_at(seek * HOP / SAMPLE_RATE))
            found, seek_next, sure = self._decode(encoded, seek, size, prompt.tokens)
            for segment in map(self._segment, found):
                self.progress.recognized(segment.text)
                yield segment
            if found:
                prompt.leave(self.speech.region_at(found[-1]["end"]), [t for s in found for t in s["tokens"]], sure)
            seek = max(seek_next, seek + SHORTEST_STEP)

    def _encode(self, seek: int, size: int) -> Any:
        """Encode `size` frames from `seek`."""
        from faster_whisper.audio import pad_or_trim

        features = self._features(seek, size + self._tail if self.short else size)
        return self.model.encode(features if self.short else pad_or_trim(features))

    def _features(self, seek: int, size: int) -> Any:
        """Compute log-mel features, shape (mels, size).
        The loudest frame of the passed sound scales them. Sound of one window is passed whole, as in faster-whisper.
        """
        if self._whole is None and self.speech.samples <= WINDOW * HOP:
            sound = self.speech.read(0, self.speech.samples)
            self._whole = self.model.feature_extractor(sound, self._tail * HOP if self.short else HOP)
        if self._whole is not None:
            return self._whole[:, seek : seek + size]
        lead = min(NEIGHBOURS, seek)  # the analysis of the outer frames covers neighbouring frames
        samples = self.speech.read((seek - lead) * HOP, (seek + size + NEIGHBOURS) * HOP)
        return self.model.feature_extractor(samples)[:, lead : lead + size]

    def _prepare(self, encoded: Any, frames: int) -> None:
        """Set what depends on the language, once it is known."""
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import TranscriptionOptions, get_suppressed_tokens

        if self.language is None:
            self.language = self._detect(encoded, frames)
        multilingual = self.model.model.is_multilingual
        self._tokenizer = Tokenizer(self.model.hf_tokenizer, multilingual, task=self.goal, language=self.language)
        unused = dict.fromkeys(TranscriptionOptions.__dataclass_fields__)
        suppressed = get_suppressed_tokens(self._tokenizer, [-1])
        most = TOKENS + int(TOKENS_S * self.speech.samples / SAMPLE_RATE) if self.short else None
        self._options = TranscriptionOptions(
            **unused | OPTIONS | SEARCHES[self.search] | {"suppress_tokens": suppressed, "max_new_tokens": most}
        )

    def _detect(self, encoded: Any, frames: int) -> str:
        """Detect the language of the first window; if that is uncertain, use the most certain window."""
        best, probability = self._top_language(encoded, frames)
        for window in range(1, DETECTION_WINDOWS):
            seek = window * WINDOW
            if probability > SURE or seek >= frames:
                break
            size = min(WINDOW, frames - seek)
            other = self._top_language(self._encode(seek, size), size)
            best, probability = max((best, probability), other, key=lambda pair: pair[1])
        return best

    def _top_language(self, encoded: Any, frames: int) -> tuple[str, float]:
        if frames <= 2 * DETECTED:  # padding would take half of the time
            encoded = _first(encoded, DETECTED)
        token, probability = self.model.model.detect_language(encoded)[0][0]
        return token[2:-2], probability

    def _decode(
        self, encoded: Any, seek: int, size: int, previous: list[int]
    ) -> tuple[list[dict[str, Any]], int, bool]:
        """Decode a window. Return its segments, the next window's start frame, and whether its text may be a prompt."""
        model, tokenizer = self.model, self._tokenizer
        prompt = model.get_prompt(tokenizer, previous)
        result, log_prob, temperature, ratio = model.generate_with_fallback(encoded, prompt, tokenizer, self._options)
        tokens = self._closed(result.sequences_ids[0], seek, size)
        self.doubtful |= self.short and self._is_doubtful(tokens, log_prob, ratio)
        offset, end = seek * HOP / SAMPLE_RATE, (seek + size) * HOP / SAMPLE_RATE
        if reason := _suppression_reason(result.no_speech_prob, log_prob):
            self._suppress(offset, end, tokenizer.decode(tokens), reason)
            return [], seek + size, False
        found, seek_next, _ = model._split_segments_by_timestamps(
            tokenizer, tokens, offset, size, size * HOP / SAMPLE_RATE, seek
        )
        self.progress.pause()
        model.add_word_timestamps([found], tokenizer, encoded, size, PREPEND, APPEND, self._last_speech)
        words = [word for segment in found for word in segment["words"]]
        for word in words:  # later text belongs to the next window
            word["start"], word["end"] = (min(word[edge], seek_next * HOP / SAMPLE_RATE) for edge in ("start", "end"))
        if words:
            self._last_speech = words[-1]["end"]
        if ratio > OPTIONS["compression_ratio_threshold"]:
            found = self._without_loops(found)
        for segment in found if self.live else ():
            segment["words"] = _with_time(segment["words"])
            segment["tokens"] = tokenizer.encode("".join(word["word"] for word in segment["words"]))
        return self._believed(found), seek_next, temperature <= OPTIONS["prompt_reset_on_temperature"]

    def _is_doubtful(self, tokens: list[int], log_prob: float, ratio: float) -> bool:
        """Return whether the text of a short window is a loop, or unlikely."""
        if len(tokens) >= self._options.max_new_tokens or ratio > OPTIONS["compression_ratio_threshold"]:
            return True
        said = [token for token in tokens if token < self._tokenizer.eot]
        return log_prob < OPTIONS["log_prob_threshold"] or repeats(said, LOOP)

    def _closed(self, tokens: list[int], seek: int, size: int) -> list[int]:
        """Close the last segment of short sound at the end of the sound, or its text would be decoded once more, alone:
        then words are lost, because a short rest without context repeats itself.
        """
        stamps = self._tokenizer.timestamp_begin
        last = seek + size >= self.speech.samples // HOP
        closes = self.live or self.search == "short"
        return [*tokens, stamps + size // 2] if closes and last and tokens and tokens[-1] < stamps else tokens

    def _without_loops(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Drop segments that repeat the previous one, in a window whose text compresses too well."""
        kept: list[dict[str, Any]] = []
        for segment in found:
            text = self._tokenizer.decode(segment["tokens"]).strip()
            if kept and text == self._tokenizer.decode(kept[-1]["tokens"]).strip():
                self._suppress(segment["start"], segment["end"], text, "repeats the previous segment")
            else:
                kept.append(segment)
        return kept

    def _believed(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep segments whose words somebody can have said; list the others as suppressed."""
        kept: list[dict[str, Any]] = []
        for segment in found:
            text = self._tokenizer.decode(segment["tokens"]).strip()
            reason = _reason_for_doubt(text, segment["words"])
            if not reason:
                kept.append(segment)
            elif text:
                self._suppress(segment["start"], segment["end"], text, reason)
        return kept

    def _suppress(self, start: float, end: float, text: str, reason: str) -> None:
        first, last = self.speech.region_at(start), self.speech.region_at(end)
        span = self.speech.original(start, first), self.speech.original(end, last)
        self.suppressed.append(Suppressed(*span, text.strip(), reason))

    def _segment(self, found: dict[str, Any]) -> Segment:
        words = tuple(self._word(word) for word in found["words"])
        text = "".join(word.text for word in words).strip()
        return Segment(words[0].start, max(word.end for word in words), text, words)

    def _word(self, word: dict[str, Any]) -> Word:
        region = self.speech.region_at((word["start"] + word["end"]) / 2)
        start, end = self.speech.original(word["start"], region), self.speech.original(word["end"], region)
        return Word(start, max(start, end), word["word"], float(word["probability"]))


class _Progress:
    """Reports the progress of a recording, between its windows and between the searches inside one."""

    def __init__(self, report: Report) -> None:
        self._report, self._event = report, Event("transcribing", 0.0)

    def reach(self, fraction: float) -> None:
        self._event = replace(self._event, fraction=fraction)
        self.pause()

    def recognized(self, text: str) -> None:
        self._event = replace(self._event, text=f"{self._event.text} {text}".strip()[-TEXT:])

    def pause(self) -> None:
        self._report(self._event)


class _Prompt:
    """Return the tokens that the next window continues: none after a silence or after uncertain text."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._region = 0

    def enter(self, region: int) -> None:
        if region != self._region:
            self.tokens = []
        self._region = region

    def leave(self, region: int, tokens: list[int], sure: bool) -> None:
        kept = self.tokens if region == self._region else []
        self.tokens = [*kept, *tokens][-224:] if sure else []  # half of the decoder's context length
        self._region = region


def _first(encoded: Any, positions: int) -> Any:
    """Return the first positions of an encoder's output, shape (1, positions, width)."""
    import ctranslate2
    import numpy as np

    if encoded.device != "cpu":
        return encoded
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(np.asarray(encoded)[:, :positions]))


def _with_time(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return words up to those at the end that take no time: the decoder says again what it has said."""
    last = max((at for at, word in enumerate(words, 1) if word["end"] > word["start"]), default=0)
    return words[:last]


def _reason_for_doubt(text: str, words: list[dict[str, Any]]) -> str:
    """Return the reason not to believe a segment, or ""."""
    if not words:
        return "its words are nowhere in the sound"
    if not any(char.isalnum() for char in text):
        return "it has no word"
    if sum(word["probability"] for word in words) / len(words) < UNLIKELY:
        return "no word of it is likely"
    seconds = max(word["end"] for word in words) - words[0]["start"]
    if len(text) > FASTEST * seconds:
        return "nobody speaks that fast"
    return ""


def _suppression_reason(no_speech: float, log_prob: float) -> str:
    """Return the reason to suppress a window, or ""."""
    if no_speech > OPTIONS["no_speech_threshold"] and log_prob < OPTIONS["log_prob_threshold"]:
        return f"no speech (probability {no_speech:.2f}) and unlikely text (log probability {log_prob:.2f})"
    return ""
