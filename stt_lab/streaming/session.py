"""A live session without input and output: it hears blocks of sound, asks for decoding steps, and tells events.

It knows no model and reads no sound: `hear` gets the probabilities of a voice, `wanted` says which stretch to decode
next and how, `answer` takes what was recognised there. So any worker can do any step, and tests need neither sound nor
time. Everything before `cut` is final. While somebody speaks, the stretch since the cut is decoded again and again
(partials). When nobody has spoken for a moment it is decoded with care, and the result waits until the silence is long
enough for the end of what was said; a voice in between makes it void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from stt_lab.streaming.context import WINDOW_S, context_start, dropped, missing, new_from, not_before, with_beginning
from stt_lab.streaming.events import Final, LiveEvent, Partial
from stt_lab.streaming.guards import agreed, calm, doubtful, ends_clause, ends_sentence, in_order
from stt_lab.types import Recognition, Span, Word

VOICE, SILENCE = 0.5, 0.35  # probability from which somebody begins to speak, and below which nobody does any more
LEAD_S = 0.4  # sound before a voice that is decoded with it
TAIL_S = 0.25  # silence after a voice before which its end is not decoded
BREATH_S = 0.1  # silence after which no partial begins, because it would keep the final waiting
TURN_S = 0.2  # silence after which it is asked whether somebody has finished, as the network was trained
UNFINISHED = 0.3  # probability of that below which the silence is longer; read speech has 0.7 and more at its ends
LEAST_VOICE_S = 0.2  # shorter voices are coughs and clicks
FIRST_S = 0.6  # sound with a voice before its first partial
UNSURE_S = 0.3  # at the edge of the sound, within which words are still being spoken
EDGE_S = 1.0  # of the sound, in which no word is made final while somebody goes on speaking
HOPELESS_S = 20.0  # of voice that is not final, such as songs: what was heard is made final, and the rest given up
CERTAIN_S = 3.0  # of voice from which a language is certain, if two steps agree
UNCOVERED_S = 0.45  # of a voice without words, after which its stretch is decoded again without context
WORDS_BEFORE = 60  # final words among which context is looked for
AGAIN_S = 2.0  # after an attempt to make words final while somebody speaks
KEPT_WORDS = 500  # that are final, as context of those that come
LOOKBACK_S = 1.0  # silence that is kept before a voice, however long nobody speaks


@dataclass(frozen=True)
class Pace:
    """When text is shown, and when it becomes final; seconds."""

    step_s: float = 0.4  # new sound for another partial
    silence_s: float = 0.7  # of silence that ends what was said
    sentence_silence_s: float = 0.5  # the same after the end of a sentence
    open_silence_s: float = 0.9  # the same in the middle of one
    unfinished_silence_s: float = 1.1  # the same if somebody does not sound finished, whatever the text
    sentence_s: float = 8.0  # after which a sentence in the midst of speech is final
    longest_s: float = 12.0  # after which a word is


PACE = Pace()


@dataclass(frozen=True)
class Step:
    """A stretch to decode. `final`: with care, because its words will stay; `padded`: with more care."""

    stretch: Span
    final: bool = False
    padded: bool = False
    heard: float = 0.0  # seconds of the session when it was asked for
    until: float | None = None  # words that end later are not wanted: somebody goes on speaking
    after: float = 0.0  # what is before it is final and only context


class Session:
    """One stream of speech. `now`, `cut` and all other times are seconds since its beginning."""

    def __init__(self, pace: Pace = PACE, block_s: float = 0.032) -> None:
        self.pace, self._block_s = pace, block_s
        self.window_s = WINDOW_S  # of a final stretch and its context; less where that would make finals late
        self.now = self.cut = 0.0
        self.language: str | None = None  # once it is certain: until then each step detects it
        self._guess: str | None = None  # language of the last step
        self._voiced_ever = 0.0  # seconds of voice
        self.transcript: list[Word] = []  # the last words that are final
        self._voiced = 0.0  # seconds of voice since the cut
        self._began: float | None = None  # when the voice began that is not final yet
        self._last_voice = 0.0  # end of the last block with a voice
        self._speaking = False
        self._decoded = 0.0  # `now` of the last partial
        self._before: tuple[Word, ...] = ()  # hypothesis of the partial before
        self._stable: tuple[Word, ...] = ()  # what was shown as stable since the cut
        self._grey: tuple[Word, ...] = ()  # what was shown after it
        self._held: tuple[float, tuple[Word, ...]] | None = None  # end of the voice, and its words
        self._turn: tuple[float, float] | None = None  # end of a voice, and the probability that it has finished
        self._forced = False
        self._tried = 0.0  # `now` of the last attempt to make words final while somebody speaks
        self._cut_in_silence = True  # and not between two words
        self._other: tuple[bool, float, tuple[Word, ...]] | None = None  # doubt, seconds without words, and words

    # What was heard

    def hear(self, probabilities: Sequence[float]) -> None:
        """Take the probabilities of a voice in the blocks that came."""
        for probability in probabilities:
            self.now += self._block_s
            self._speaking = probability >= (SILENCE if self._speaking else VOICE)
            if self._speaking:
                self._began = self.now - self._block_s if self._began is None else self._began
                self._last_voice = self.now
                self._voiced += self._block_s
                self._voiced_ever += self._block_s
        if self._began is None:
            self.cut = max(self.cut, self.now - LOOKBACK_S)
        if self._held and self._last_voice > self._held[0]:
            self._held = None

    @property
    def asks_turn(self) -> bool:
        """Return whether it is time to ask if somebody has finished: once in each silence."""
        if self._began is None or self._speaking or self.silence < TURN_S or self._voiced < LEAST_VOICE_S:
            return False
        return self._turn is None or self._turn[0] < self._last_voice

    def hear_turn(self, finished: float) -> None:
        """Take the probability that somebody who is silent now has finished."""
        self._turn = self._last_voice, finished

    def force(self) -> None:
        """Make final what was said so far, without waiting for silence."""
        self._forced = not self.idle

    @property
    def silence(self) -> float:
        """Seconds since somebody spoke."""
        return self.now - self._last_voice

    @property
    def likely_language(self) -> str | None:
        """Return the certain language, or else that of the last step."""
        return self.language or self._guess

    @property
    def idle(self) -> bool:
        """Whether nothing was said that is not final."""
        return self._began is None

    def patience(self, words: Sequence[Word]) -> float:
        """Seconds of silence that end what was said: fewer after a sentence, more in the middle of one."""
        if not words:
            return TAIL_S
        pace, last = self.pace, words[-1].text
        seconds = pace.open_silence_s if ends_clause(last) else pace.silence_s
        seconds = pace.sentence_silence_s if ends_sentence(last) else seconds
        if self._turn and self._turn[0] == self._last_voice and self._turn[1] < UNFINISHED:
            return max(seconds, pace.unfinished_silence_s)
        return seconds

    # What to decode

    def wanted(self) -> Step | None:
        """Return the step that is due, if one is."""
        if self._began is None or self._held:
            return None
        ended = not self._speaking and self.silence >= TAIL_S
        if ended and self._voiced < LEAST_VOICE_S:
            self._forget(self._last_voice)
            return None
        if ended or self._forced:
            return self._step(min(self.now, self._last_voice + TAIL_S), final=True)
        long = self._long_enough()
        if long:
            return self._step(self.now, final=True, until=self.now - EDGE_S)
        first = self.now - max(self._start, self._began) >= FIRST_S
        if first and self.silence < BREATH_S and self.now - self._decoded >= self.pace.step_s:
            return self._step(self.now)
        return None

    @property
    def _start(self) -> float:
        """Where decoding begins: a little before the voice, and never before what is final."""
        return max(self.cut, (self._began or 0.0) - LEAD_S)

    def _step(self, end: float, final: bool = False, until: float | None = None) -> Step:
        stretch = Span(self._start, max(end, self._start))
        start = context_start(self.transcript[-WORDS_BEFORE:], stretch, self.window_s) if final else self._start
        return Step(Span(start, stretch.end), final, heard=self.now, until=until, after=self._start)

    def _long_enough(self) -> bool:
        """Return whether somebody has been speaking long enough to make a sentence or a word final."""
        length = self.now - self._start
        if length < self.pace.sentence_s or self.now - self._tried < AGAIN_S:
            return False
        latest = self._before[: len(self._stable)]  # with the punctuation of the last hypothesis
        said = [word for word in latest if self._start + FIRST_S < word.end < self.now - EDGE_S]
        return length >= self.pace.longest_s or any(ends_sentence(word.text) for word in said)

    # What was recognised

    def answer(self, step: Step, found: Recognition) -> tuple[list[LiveEvent], Step | None]:
        """Take what was recognised in a step. Return events, and another step if it has to be decoded again."""
        self._decoded = max(self._decoded, step.heard)
        if step.after < self._start - 1e-6 or self._began is None:  # stale: its beginning is final by now
            return [], None
        self._hear_language(step, found.language)
        written = [word for segment in found.segments for word in segment.words]
        began = (self._began or 0.0) if self._cut_in_silence else 0.0
        after = new_from(written, self.transcript[-1] if self.transcript else None, self.cut, began)
        words = not_before(in_order(written, after), self.transcript[-1].end if self.transcript else 0.0)
        doubt = doubtful(written, step.stretch.duration)
        if not step.final:
            return [] if doubt else self._partial(step, words), None
        again, words = self._again(step, words, doubt)
        if again:
            return [], again
        if step.until is not None:
            return self._cut_at(words, step), None
        self._held = self._last_voice, words
        return self.due(), None

    def _hear_language(self, step: Step, language: str | None) -> None:
        """Take a step's language for certain if the step before had the same and it had sound enough."""
        enough = min(self._voiced_ever, step.stretch.duration) >= CERTAIN_S
        if self.language is None and language:
            self.language = language if enough and language == self._guess else None
            self._guess = language

    def _partial(self, step: Step, words: tuple[Word, ...]) -> list[LiveEvent]:
        edge = step.stretch.end - UNSURE_S
        spoken = tuple(word for word in words if word.end <= edge)
        same, known = agreed(spoken, self._before), len(self._stable)
        self._stable += spoken[known:same]  # case and punctuation stay, too
        rest, more = spoken[len(self._stable) :], self._stable[known:]
        seen = not self._before or agreed(rest, self._before[len(self._stable) :]) == len(rest)
        kept = self._grey[len(more) :] if agreed(self._grey, more) == len(more) else ()
        self._grey = calm(kept, rest if seen else rest[:-1])  # the last word, once it was seen twice; at first, all
        self._before = spoken
        return [Partial(_text(self._stable), _text(self._grey), step.heard)]

    def due(self) -> list[LiveEvent]:
        """Return the final whose silence is long enough by now, if there is one."""
        if self._held is None or not (self._forced or self.silence >= self.patience(self._held[1])):
            return []
        end, words = self._held
        self._forget(max(end, words[-1].end if words else 0.0))
        return self._final(words)

    def _again(self, step: Step, words: tuple[Word, ...], doubt: bool) -> tuple[Step | None, tuple[Word, ...]]:
        """Return how to decode a stretch once more if words are doubtful or seem lost, and the better words so far."""
        voice = Span(max(step.after, self._began or 0.0), max(step.after, min(self._last_voice, step.stretch.end)))
        lost = missing(words, voice, step.until is not None) + dropped(self._before, words)
        if step.stretch.start < step.after and (doubt or lost > UNCOVERED_S):
            self._other = doubt, lost, words
            return replace(step, stretch=Span(step.after, step.stretch.end)), words
        if self._other:
            joined = with_beginning(words, self._other[2])
            doubt, _, words = min(self._other, (doubt, lost, joined), key=lambda one: one[:2])
            self._other = None
        return replace(step, padded=True) if doubt and not step.padded else None, words

    def _cut_at(self, words: Sequence[Word], step: Step) -> list[LiveEvent]:
        """Make words final while somebody goes on speaking."""
        self._tried = self.now
        assert step.until is not None
        said = [word for word in words if step.after + FIRST_S < word.end <= step.until]
        length = self.now - self._start
        hopeless = self.now - self.pace.sentence_s if length >= HOPELESS_S else 0.0  # before it nothing is tried again
        ends = [word.end for word in said if ends_sentence(word.text)]
        if not ends and length >= self.pace.longest_s and said:
            ends = [word.end for word in said if ends_clause(word.text)] or [_before_longest_gap(said)]
        if hopeless and said:
            ends = [said[-1].end]
        if not ends:
            self.cut = max(self.cut, hopeless)
            if hopeless:
                self._stable = self._before = self._grey = ()
            return []
        taken = [word for word in words if word.end <= ends[-1]]
        following = words[len(taken)].start if len(taken) < len(words) else ends[-1]
        self.cut = max(self.cut, hopeless, (ends[-1] + min(following, ends[-1] + LEAD_S)) / 2)
        self._cut_in_silence = False
        self._stable = self._before = self._grey = ()
        return self._final(taken)

    def _final(self, words: Sequence[Word]) -> list[LiveEvent]:
        if not words:
            return [Partial("", "", self.now)]
        self.transcript = [*self.transcript, *words][-KEPT_WORDS:]
        return [Final(_text(words), tuple(words), self.likely_language)]

    def _forget(self, end: float) -> None:
        """Begin anew after `end`: what was said before it is final."""
        self.cut = max(self.cut, end)
        self._cut_in_silence = True
        self._began, self._held, self._voiced, self._forced, self._other = None, None, 0.0, False, None
        self._stable = self._before = self._grey = ()
        self._decoded = self.now


def _before_longest_gap(words: Sequence[Word]) -> float:
    """Return the end of the word after which the next one begins latest; of equal ones the last."""
    gaps = [(after.start - word.end, word.end) for word, after in pairwise(words)]
    return max(gaps)[1] if gaps else words[-1].end


def _text(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()
