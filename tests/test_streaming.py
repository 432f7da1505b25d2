"""Live sessions: what they ask for and tell, with made probabilities and made hypotheses; and real speech once."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stt_lab.engines.activity import BLOCK, VoiceActivity
from stt_lab.engines.turns import turn_end
from stt_lab.metrics import wer
from stt_lab.pipeline import choose_models, listen
from stt_lab.runtime import private_runtime
from stt_lab.settings import Settings, get_settings
from stt_lab.streaming.context import (
    context_start,
    dropped,
    missing,
    new_from,
    not_before,
    window_in_time,
    with_beginning,
)
from stt_lab.streaming.events import Final, LiveEvent, Partial
from stt_lab.streaming.guards import (
    agreed,
    calm,
    doubtful,
    ends_clause,
    ends_sentence,
    in_order,
    repeats_itself,
    too_many,
)
from stt_lab.streaming.live import LiveStream
from stt_lab.streaming.session import UNFINISHED, Pace, Session, Step
from stt_lab.types import SAMPLE_RATE, Audio, Provenance, Recognition, Segment, Span, Word, silent

MADE = Provenance("made", "made", "cpu", "0", {}, 0.0)


def said(text: str, start: float, each: float = 0.3) -> list[Word]:
    return [Word(start + at * each, start + (at + 1) * each, f" {word}", 0.9) for at, word in enumerate(text.split())]


def found(words: Sequence[Word]) -> Recognition:
    if not words:
        return Recognition(None, (), MADE)
    text = "".join(word.text for word in words).strip()
    return Recognition("en", (Segment(words[0].start, words[-1].end, text, tuple(words)),), MADE)


class Speaker:
    """Says words to a session in blocks of 0.1 s, and recognises what lies in each step."""

    def __init__(self, words: Sequence[Word], pace: Pace | None = None) -> None:
        self.session = Session(pace or Pace(), 0.1)
        self.words, self.steps = words, list[Step]()
        self.events: list[tuple[float, LiveEvent]] = []

    def until(self, end: float) -> Speaker:
        while self.session.now < end - 1e-9:
            now = self.session.now + 0.05
            self.session.hear([0.9 if any(word.start <= now < word.end for word in self.words) else 0.0])
            self._note(self.session.due())
            self.work()
        return self

    def work(self) -> None:
        step = self.session.wanted()
        while step:
            self.steps.append(step)
            events, step = self.session.answer(step, found(self.heard(step)))
            self._note(events)

    def heard(self, step: Step) -> list[Word]:
        return [word for word in self.words if word.start >= step.stretch.start - 0.1 and word.end <= step.stretch.end]

    def _note(self, events: Sequence[LiveEvent]) -> None:
        self.events += [(self.session.now, event) for event in events]

    @property
    def finals(self) -> list[Final]:
        return [event for _, event in self.events if isinstance(event, Final)]


def test_a_sentence_is_final_after_a_short_silence_and_a_clause_after_a_longer_one() -> None:
    times = {}
    for end in (".", "", ","):
        speaker = Speaker(said(f"this is all that I have{end}", 1.0)).until(6.0)
        ((at, final),) = [(at, event) for at, event in speaker.events if isinstance(event, Final)]
        assert final.text == f"this is all that I have{end}"
        times[end] = round(at - final.end, 2)
    assert times == {".": 0.5, "": 0.7, ",": 0.9}


@pytest.mark.parametrize(("finished", "expected"), [(0.9, (0.5, 0.7, 0.9)), (0.1, (1.1, 1.1, 1.1))])
def test_somebody_who_does_not_sound_finished_is_given_more_silence(
    finished: float, expected: tuple[float, ...]
) -> None:
    session = Session(Pace(), 0.1)
    session.hear([0.9] * 10)
    assert not session.asks_turn
    session.hear([0.0] * 3)
    assert session.asks_turn
    session.hear_turn(finished)
    assert not session.asks_turn
    assert tuple(session.patience([Word(0, 1, f" word{end}")]) for end in (".", "", ",")) == expected
    session.hear([0.9] * 3 + [0.0] * 3)  # what was heard of a silence says nothing of the next one
    assert session.asks_turn
    assert session.patience([Word(0, 1, " word.")]) == 0.5


def test_a_click_is_not_asked_about() -> None:
    session = Session(Pace(), 0.1)
    session.hear([0.0] * 5 + [0.9] + [0.0] * 9)
    assert not session.asks_turn


def test_a_pause_inside_a_sentence_does_not_cut_it() -> None:
    words = [*said("we went up the", 1.0), *said("hill again.", 2.8)]  # 0.6 s of silence
    assert [final.text for final in Speaker(words).until(6.0).finals] == ["we went up the hill again."]


def test_finals_never_change_repeat_or_go_back() -> None:
    words = [word for at in range(40) for word in said("one and two and three, four and five.", 1 + 3.4 * at)]
    speaker = Speaker(words).until(140)
    written = [word for final in speaker.finals for word in final.words]
    assert [word.text for word in written] == [word.text for word in words]
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(written))
    assert list(speaker.session.transcript) == written


def test_the_first_partial_comes_soon_and_partials_stop_in_silence() -> None:
    speaker = Speaker(said("good morning to all of you here.", 2.0)).until(10)
    shown = [(at, event) for at, event in speaker.events if isinstance(event, Partial) and event.text]
    assert 2.5 < shown[0][0] <= 2.7
    assert shown[-1][0] < 4.5
    for (_, before), (_, after) in pairwise(shown):
        assert isinstance(before, Partial)
        assert isinstance(after, Partial)
        assert after.stable.startswith(before.stable)


def test_stable_text_keeps_its_punctuation_until_the_final() -> None:
    class Dots(Speaker):
        def heard(self, step: Step) -> list[Word]:
            words = super().heard(step)
            dot = "." if len(self.steps) % 2 and not step.final else ""
            return [replace(word, text=word.text + dot) for word in words]

    speaker = Dots(said("one two three four five six seven", 1.0)).until(6)
    shown = [event.stable for _, event in speaker.events if isinstance(event, Partial) and event.stable]
    assert len(shown) > 2
    assert all(after.startswith(before) for before, after in pairwise(shown))
    assert [final.text for final in speaker.finals] == ["one two three four five six seven"]


def test_somebody_who_does_not_stop_is_cut_at_a_sentence_or_a_clause_or_a_word() -> None:
    for mark in (".", ",", ""):
        text = " ".join(f"word{at}{mark if at % 4 == 3 else ''}" for at in range(120))
        speaker = Speaker(said(text, 1.0)).until(37.5)
        assert len(speaker.finals) >= 2
        assert all(final.text.endswith(mark) for final in speaker.finals[:-1])
        longest = max(step.stretch.end - step.after for step in speaker.steps)
        assert longest < Pace().longest_s + 1.5
        joined = " ".join(final.text for final in speaker.finals).split()
        assert joined == text.split()[: len(joined)]


def test_a_click_is_not_decoded_and_silence_for_hours_keeps_nothing() -> None:
    speaker = Speaker([Word(1.0, 1.1, " click")]).until(5)
    assert speaker.steps == []
    session = Session(Pace(), 0.1)
    session.hear([0.0] * 36_000 * 6)
    assert session.idle
    assert session.now - session.cut == pytest.approx(1.0)


def test_after_ten_minutes_of_silence_speech_is_recognised_at_its_time() -> None:
    speaker = Speaker(said("is anybody still there?", 601.0))
    speaker.session.hear([0.0] * 6000)
    (final,) = speaker.until(606).finals
    assert final.text == "is anybody still there?"
    assert final.start == pytest.approx(601.0)


def test_force_makes_final_without_silence() -> None:
    speaker = Speaker(said("this goes on and on and on and on", 1.0)).until(2.5)
    speaker.session.force()
    speaker.work()
    (final,) = speaker.finals
    assert final.text in ("this goes on and", "this goes on and on")


def test_force_without_speech_does_nothing_to_what_comes() -> None:
    speaker = Speaker(said("and then we left.", 2.0)).until(1.0)
    speaker.session.force()
    ((at, final),) = [(at, event) for at, event in speaker.until(5).events if isinstance(event, Final)]
    assert at - final.end == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["", "la"])
def test_a_voice_that_nobody_understands_does_not_grow(text: str) -> None:
    """A song: a voice for minutes, and no words, or other ones each time."""

    class Song(Speaker):
        def heard(self, step: Step) -> list[Word]:
            other = f"{text}{len(self.steps)}"
            return [Word(step.stretch.start + 1, step.stretch.start + 1.5, f" {other}", 0.4)] if text else []

    speaker = Song([Word(1.0, 300.0, " song")]).until(302)
    assert max(step.stretch.end - step.after for step in speaker.steps) < 23
    assert speaker.session.cut > 290


def test_a_hypothesis_that_repeats_itself_is_decoded_once_more_with_care() -> None:
    class Loops(Speaker):
        def heard(self, step: Step) -> list[Word]:
            words = super().heard(step)
            return words if step.padded else words * 3

    speaker = Loops(said("and that was that.", 1.0)).until(5)
    assert [final.text for final in speaker.finals] == ["and that was that."]
    assert [step.padded for step in speaker.steps if step.final] == [False, True]
    shown = [event.text for _, event in speaker.events if isinstance(event, Partial)]
    assert all(text in ("", "and", "and that") for text in shown)  # too few words to repeat


def test_a_step_whose_beginning_is_final_by_now_is_void() -> None:
    speaker = Speaker(said("first this.", 1.0)).until(1.7)
    stale = Step(speaker.session.wanted().stretch if speaker.session.wanted() else speaker.steps[-1].stretch)
    speaker.until(4.0)
    assert speaker.session.answer(stale, found(said("first this.", 1.0))) == ([], None)
    assert len(speaker.finals) == 1


def test_finals_are_decoded_with_the_utterance_before_and_again_without_it_if_words_are_lost() -> None:
    class Loses(Speaker):
        def heard(self, step: Step) -> list[Word]:
            words = super().heard(step)
            return words[:-2] if step.stretch.start < step.after else words

    words = [*said("this was the first.", 1.0), *said("and that is the second.", 4.0)]
    speaker = Loses(words).until(8)
    assert [final.text for final in speaker.finals] == ["this was the first.", "and that is the second."]
    second = [step for step in speaker.steps if step.final and step.after > 2]
    assert [step.stretch.start < 1.0 for step in second] == [True, False]


def test_context_begins_in_the_longest_pause_and_its_words_are_not_new() -> None:
    before = [*said("one two", 1.0), *said("three four", 4.0), *said("five", 6.0)]
    assert context_start(before, Span(7.0, 7.0 + 1)) == pytest.approx(2.8)
    assert context_start([], Span(0.3, 0.3 + 1)) == 0.3
    assert context_start(before, Span(60.0, 60.0 + 1)) == 60.0
    assert context_start(before, Span(7.0, 8.0), 3.0) == pytest.approx(5.3)  # less of it where a final would be late
    assert context_start(before, Span(7.0, 8.0), 1.0) == 7.0
    assert [window_in_time(cost) for cost in (0.0, 0.01, 0.08, 0.4)] == [10.0, 10.0, pytest.approx(5.0), 1.0]
    again = [*said("four", 4.4), *said("five", 6.1), *said("six", 7.0)]
    assert new_from(again, before[-1], 6.35, 6.5) == pytest.approx(6.4)
    assert new_from(again, None, 5.0, 0.0) == 5.0
    short = said("I do not think", 7.0, 0.2)  # a short first word, after whose end the voice is heard
    assert new_from(short, before[-1], 6.35, 7.3) == 6.35
    assert new_from([*said("yes", 6.4, 0.2), *short], before[-1], 6.35, 7.3) == pytest.approx(6.6)
    assert missing([], Span(1, 3)) == 2
    assert missing(said("six", 2.0), Span(1, 3)) == pytest.approx(1.0)
    assert missing(said("six", 1.0), Span(1, 3), until=True) == 0


def test_the_language_is_certain_only_after_three_seconds_of_voice_that_agree() -> None:
    class Foreign(Speaker):
        def work(self) -> None:
            step = self.session.wanted()
            while step:
                self.steps.append(step)
                language = "cy" if step.stretch.duration < 2 else "de"  # at first mistaken
                answer = replace(found(self.heard(step)), language=language)
                events, step = self.session.answer(step, answer)
                self._note(events)

    speaker = Foreign(said("das hier ist ein langer Satz auf Deutsch und er geht noch weiter.", 1.0))
    assert speaker.until(3.5).session.language is None
    assert speaker.until(4.8).session.language == "de"
    assert [final.language for final in speaker.until(8).finals] == ["de"]


# Guards


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so I say to you so I say to you", True),
        ("so I say to you and so I say to him", False),
        ("I say so I say so", True),
        ("no no no no", True),
        ("no no no", False),
        ("", False),
        ("very, very good", False),
    ],
)
def test_repeats(text: str, expected: bool) -> None:
    assert repeats_itself(said(text, 0)) is expected


def test_a_word_hidden_by_the_beginning_of_the_sound_is_taken_from_the_other_hypothesis() -> None:
    other = [Word(11.4, 11.45, " the"), Word(11.45, 11.65, " letter"), Word(11.65, 12, " was"), Word(15, 16, " black")]
    alone = [Word(11.34, 11.64, " letter"), Word(11.64, 12.0, " which")]
    joined = with_beginning(alone, other)
    assert [word.text for word in joined] == [" the", " letter", " which"]
    assert all(before.end <= following.start for before, following in pairwise(joined))
    assert with_beginning(alone[1:], other) == (alone[1],)  # nothing in common
    assert with_beginning([Word(15.0, 15.3, " letter")], other) == (Word(15.0, 15.3, " letter"),)  # not the same place
    assert with_beginning([], other) == ()


def test_guards_are_pure() -> None:
    words = said("a b c d e f g h i j", 0)
    assert too_many(words, 1.0)
    assert not too_many(words, 2.0)
    assert doubtful(words, 1.0)
    assert in_order([Word(1, 2, " a"), Word(0.5, 1.2, " b"), Word(1.5, 3, " c")], 0.0) == (
        Word(1, 2, " a"),
        Word(2, 3, " c"),
    )
    assert in_order([Word(0, 1, " a"), Word(0.9, 1.5, " b")], 1.0) == (Word(1.0, 1.5, " b"),)
    stretched = [Word(9.5, 10.65, " in"), Word(10.65, 11.1, " being")]  # the first word begins with the sound
    assert in_order(stretched, 10.35) == (Word(10.35, 10.65, " in"), Word(10.65, 11.1, " being"))
    assert in_order([Word(9.5, 10.2, " fair"), stretched[1]], 10.35) == (stretched[1],)
    assert agreed(said("Now, we go", 0), said("now we went", 0)) == 2
    assert [ends_sentence(text) for text in ("So.", "So?”", "So", "So,")] == [True, True, False, False]
    assert [ends_clause(text) for text in ("So,", "So -", "So")] == [True, True, False]


# Real networks


@pytest.fixture(scope="module")
def speech() -> Path:
    spec = importlib.util.find_spec("pyannote")
    assert spec is not None
    return next(Path(place) / "audio/sample/sample.wav" for place in spec.submodule_search_locations or ())


@pytest.mark.truth
def test_voice_activity_is_the_same_in_pieces(speech: Path) -> None:
    from faster_whisper.vad import get_vad_model

    runtime = private_runtime(get_settings())
    with runtime.decoder.decode(speech) as audio:
        sound = audio.read()[: BLOCK * 300]
    voice = VoiceActivity()
    heard = [one for at in range(0, len(sound), 333) for one in voice.push(sound[at : at + 333])]
    whole = np.ravel(get_vad_model()(sound.copy()))
    assert np.allclose(heard, whole[: len(heard)], atol=0.02)
    assert len(heard) == 300


@pytest.mark.truth
@pytest.mark.parametrize("piece", [1600, SAMPLE_RATE * 60], ids=["100ms", "at once"])
def test_real_speech_in_pieces_of_any_size(speech: Path, tmp_path: Path, piece: int) -> None:
    """Finals in order, nothing lost, and nearly the words of a whole recording. At once: partials are skipped."""
    runtime = private_runtime(get_settings())
    with runtime.decoder.decode(speech) as audio:
        models = choose_models(runtime.pool, "tiny.en", "en", diarize=False)
        stream = LiveStream(runtime.pool, models.transcriber, "en", tmp_path / "sound.pcm", silent)
        sound = audio.read()
        events: list[LiveEvent] = []
        for at in range(0, len(sound), piece):
            events += stream.push(sound[at : at + piece])
        events += stream.finish()
        whole = listen(runtime.pool, audio, models, 0, silent).text
    finals = [event for event in events if isinstance(event, Final)]
    words = [word for final in finals for word in final.words]
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(words))
    assert words[-1].end <= stream.duration + 0.1
    assert wer([whole], [" ".join(final.text for final in finals)], "whisper_en").rate < 0.35
    assert Audio(tmp_path / "sound.pcm", len(sound)).samples * 2 == (tmp_path / "sound.pcm").stat().st_size
    assert [event for event in events if isinstance(event, Partial) and event.text] or piece > SAMPLE_RATE


@pytest.mark.truth
def test_smart_turn_hears_whether_somebody_has_finished(speech: Path) -> None:
    """The greeting at 6.9 s is complete; "Diane from New" at 13.3 s and "... down ..." at 27.2 s are not."""
    turns = turn_end(get_settings())
    assert turns is not None
    runtime = private_runtime(get_settings())
    with runtime.decoder.decode(speech) as audio:
        sound = audio.read()
    greeting, name, middle = (turns.probability(sound[: int(end * SAMPLE_RATE)]) for end in (7.11, 13.32, 27.18))
    assert greeting > 0.7
    assert max(name, middle) < UNFINISHED
    assert turns.probability(sound) == turns.probability(sound[-8 * SAMPLE_RATE :])
    assert 0 <= turns.probability(np.zeros(SAMPLE_RATE, np.float32)) <= 1


def test_without_its_weights_nobody_asks_about_turns(tmp_path: Path) -> None:
    assert turn_end(Settings(models_dir=tmp_path)) is None


def test_words_that_were_shown_are_not_lost_in_context() -> None:
    shown = said("treating this as a legal issue", 3.0)
    assert dropped(shown, shown) == 0
    assert dropped(shown, said("treating this", 3.0)) == pytest.approx(0.9)  # "this" ends at 3.6, "as" lies near it
    assert dropped([], shown) == 0


def test_what_one_hypothesis_contradicts_stays_until_another_agrees() -> None:
    shown = said("is not allied in action", 3.0)
    other = said("is not our lead in action to morphine", 3.0, 0.25)
    assert [word.text for word in calm(shown, other)] == [*(word.text for word in shown), " to", " morphine"]
    assert calm((), other) == tuple(other)
    assert calm(shown, said("is not allied in action to", 3.0)) == tuple(said("is not allied in action to", 3.0))
    assert calm(shown, said("is not", 3.0)) == tuple(shown)


def test_partials_change_once_two_hypotheses_agree_on_it() -> None:
    session = Session(Pace(), 0.1)
    session.hear([0.9] * 30)
    texts = ("one two", "one too many here", "one two four here", "one two four here now")
    seen = []
    for text in texts:
        session.hear([0.9] * 4)
        (event,), _ = session.answer(Step(Span(0.0, session.now), heard=session.now), found(said(text, 0.0)))
        assert isinstance(event, Partial)
        seen.append((event.stable, event.text))
    assert seen == [
        ("", "one two"),
        ("one", "one two many"),
        ("one", "one two many"),
        ("one two four here", "one two four here"),
    ]


def test_the_word_after_the_last_final_one_is_new_however_early_it_is_heard() -> None:
    last = Word(14.2, 14.68, " life.", 0.9)
    again = [
        Word(13.9, 14.1, " his", 0.9),
        Word(14.2, 14.6, " life", 0.9),
        Word(14.6, 14.66, " it", 0.9),
        Word(14.9, 15.2, " was", 0.9),
    ]
    after = new_from(again, last, 14.76, 0.0)
    new = not_before(in_order(again, after), last.end)
    assert [word.text for word in new] == [" it", " was"]
    assert new[0].start == last.end
    assert all(before.end <= following.start for before, following in pairwise([last, *new]))
