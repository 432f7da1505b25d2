"""Transcribe a recording: recognise its words, find who speaks when, and join the two into a transcript."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stt_lab.engines.pool import AUTO, Pool
from stt_lab.engines.protocols import Goal
from stt_lab.errors import BadInput, ModelMissing, SttError
from stt_lab.text import LANGUAGES, language_code
from stt_lab.text.chinese import Script, chinese_script, segments_in_script
from stt_lab.transcription.join import join, name_turns
from stt_lab.transcription.second_look import in_context, unheard, with_found, without_doubles, without_words
from stt_lab.transcription.word_times import on_speech
from stt_lab.types import Audio, Event, Recognition, Report, Transcript, Turn, Unrecognized
from stt_lab.weights import catalog
from stt_lab.weights.catalog import Model

PREFERRED = "large-v3-turbo"  # the default of the hosted API, which answers unless the administrator chose another one


@dataclass(frozen=True)
class Models:
    """The models that process a recording."""

    transcriber: Model
    diarizer: Model | None = None  # None: do not find speakers
    language: str | None = None  # language code; None: detect it
    goal: Goal = "transcribe"
    warnings: tuple[str, ...] = ()  # about the choice of models
    script: Script | None = None  # in which Chinese is written; None: as the model writes it


def choose_models(pool: Pool, model: str, language: str, diarize: bool, goal: Goal = "transcribe") -> Models:
    """Choose the models of a request. Raises BadInput or ModelMissing before any work begins."""
    code = language_code(language)
    if model.lower() == AUTO:
        transcriber, warnings = default_model(pool, code, goal)
    else:
        transcriber, warnings = pool.resolve("transcribe", model, goal)
    if not _knows(transcriber, code):
        able = ", ".join(catalog.names(other for other in catalog.models("transcribe") if other.languages != 1))
        raise BadInput(f"The model '{transcriber.id}' recognises English only. Choose from {able}, or language=en.")
    diarizer = pool.best("diarize") if diarize else None
    return Models(transcriber, diarizer, code, goal, warnings, chinese_script(language))


def default_model(pool: Pool, language: str | None = None, goal: Goal = "transcribe") -> tuple[Model, tuple[str, ...]]:
    """Return the speech model of a request that names none, with a warning if it is another one than it should be.

    It should be the one that the administrator chose, otherwise PREFERRED; the best installed one stands in. `language`
    is a code, None if it is not known yet. Raises ModelMissing if no installed model can do it.
    """
    chosen = pool.chosen()
    why = unfit(pool, chosen, language, goal) if chosen else ""
    if chosen and not why:
        return catalog.get(chosen), ()
    model, warnings = _automatic(pool, language, goal)
    return model, (f"The default model '{chosen}' {why}; '{model.id}' was used instead.",) if chosen else warnings


def usual_model(pool: Pool) -> Model | None:
    """Return the speech model that answers here if a request names neither model nor language; None without one."""
    try:
        return default_model(pool)[0]
    except SttError:
        return None


def unfit(pool: Pool, wanted: str, language: str | None = None, goal: Goal = "transcribe") -> str:
    """Return why a speech model cannot be used, as the rest of a sentence; "" if it can."""
    model = next((one for one in pool.available("transcribe") if one.id == wanted), None)
    if model is None:
        return "is not installed"
    if goal == "translate" and not model.translates:
        return "cannot translate"
    return "" if _knows(model, language) else "recognises English only"


def _automatic(pool: Pool, language: str | None, goal: Goal) -> tuple[Model, tuple[str, ...]]:
    model, warnings = pool.resolve("transcribe", PREFERRED, goal)
    if _knows(model, language):
        return model, warnings
    for other in pool.available("transcribe"):
        if not other.for_tests and not unfit(pool, other.id, language, goal):
            return other, (f"The model '{model.id}' recognises English only; '{other.id}' was used instead.",)
    able = (one.id for one in catalog.models("transcribe") if one.languages != 1 and one.packages)
    spoken = LANGUAGES[language].title() if language in LANGUAGES else "this language"
    raise ModelMissing(
        f"No installed model recognises {spoken}. Install one with `stt-lab models pull {next(able, PREFERRED)}`."
    )


def _knows(model: Model, language: str | None) -> bool:
    return language in (None, "en") or model.languages != 1


def listen(pool: Pool, audio: Audio, models: Models, speakers: int, report: Report) -> Transcript:
    """Turn decoded sound into a transcript. `speakers` is the number of speakers, 0 to detect it.

    Waits for a turn on the device. Raises errors of the engines and of `report`, such as Cancelled.
    """
    with pool.slot(report):
        recognition = pool.transcribe(models.transcriber, audio, models.language, report, models.goal)
        diarization = None
        if models.diarizer and recognition.segments:
            diarization = pool.diarize(models.diarizer, audio, speakers, report)
        recognition = _second_look(pool, audio, models, recognition, report)
    recognition = _in_script(_at_its_time(recognition, models.goal), models)
    report(Event("joining"))
    segments, names = join(recognition, diarization, audio.duration)
    turns = name_turns(recognition, diarization, audio.duration) if diarization else ()
    unrecognized = unheard(recognition, turns)
    return Transcript(
        language=recognition.language,
        duration=audio.duration,
        segments=segments,
        speakers=names,
        model=models.transcriber.id,
        warnings=(*models.warnings, *audio.warnings, *_fewer(speakers, turns), *_not_understood(unrecognized)),
        suppressed=recognition.suppressed,
        unrecognized=unrecognized,
        turns=turns,
        tracks=audio.tracks,
        provenance=(recognition.provenance, *((diarization.provenance,) if diarization else ())),
    )


def recognize(pool: Pool, audio: Audio, models: Models, report: Report) -> Recognition:
    """Recognise the words of decoded sound, without speakers. Waits for a turn on the device."""
    with pool.slot(report):
        recognition = pool.transcribe(models.transcriber, audio, models.language, report, models.goal)
        recognition = _second_look(pool, audio, models, recognition, report)
    return _in_script(_at_its_time(recognition, models.goal), models)


def _in_script(recognition: Recognition, models: Models) -> Recognition:
    if models.script is None or recognition.language != "zh" or models.goal == "translate":
        return recognition
    return replace(recognition, segments=segments_in_script(recognition.segments, models.script))


def _second_look(pool: Pool, audio: Audio, models: Models, recognition: Recognition, report: Report) -> Recognition:
    """Decode again, on its own, each stretch in which somebody speaks but no word stands."""
    gaps = without_words(recognition.speech, recognition.segments)
    if not gaps or not recognition.segments or models.goal == "translate":  # its words have no exact times
        return recognition
    stretches = in_context(gaps, audio.duration)

    def checking(event: Event) -> None:
        report(replace(event, stage="checking", text="") if event.stage == "transcribing" else event)

    found = pool.transcribe(models.transcriber, audio, recognition.language, checking, models.goal, stretches=stretches)
    return replace(recognition, segments=with_found(recognition.segments, found.segments, gaps))


def _at_its_time(recognition: Recognition, goal: Goal) -> Recognition:
    """Return words at the times at which a voice says them. In a translation a word's time is not that of a sound."""
    if goal == "translate" or not recognition.speech:
        return recognition
    segments, doubles = without_doubles(on_speech(recognition.segments, recognition.speech), recognition.speech)
    return replace(recognition, segments=segments, suppressed=(*recognition.suppressed, *doubles))


def _fewer(speakers: int, turns: tuple[Turn, ...]) -> tuple[str, ...]:
    found = len({turn.speaker for turn in turns})
    return (f"Of {speakers} speakers, only {found} could be told apart.",) if 0 < found < speakers else ()


def _not_understood(unrecognized: tuple[Unrecognized, ...]) -> tuple[str, ...]:
    if not unrecognized:
        return ()
    seconds, count = sum(one.duration for one in unrecognized), len(unrecognized)
    stretches = "1 stretch" if count == 1 else f"{count} stretches"
    return (f"{stretches} of speech, {seconds:.0f} s in all, could not be understood; see `unrecognized`.",)
