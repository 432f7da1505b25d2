"""What README claims: the lines of its table of numbers, what measures each, and where that lies in eval/results.

claims.py prints the table from here and says whether the numbers hold.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELD = re.compile(r"\{(\w+)\}")
LESS, MORE, SAME = "less is better", "more is better", "as it is"


@dataclass(frozen=True)
class Measurement:
    """A script that writes a file of results."""

    command: str  # for Python, from the project's folder
    file: str
    minutes: int  # about, on two cores


@dataclass(frozen=True)
class Number:
    """A number of README: where it lies in the results, and how it is shown."""

    of: Callable[[Any], float]
    shown: str  # format
    better: str = SAME
    tolerance: float = 0.0  # by which it may be worse, as shown


@dataclass(frozen=True)
class Row:
    """A line of README's table; {name} stands for a number."""

    measurement: str
    cells: tuple[str, str, str]
    numbers: Mapping[str, Number]

    def text(self, results: Any) -> str:
        shown = {name: format(number.of(results), number.shown) for name, number in self.numbers.items()}
        return _line(FIELD.sub(lambda found: shown[found[1]], cell) for cell in self.cells)

    def title(self) -> str:
        """The first cell, without its numbers."""
        return FIELD.sub("…", self.cells[0])

    def claimed(self, line: str) -> dict[str, str] | None:
        """The numbers of README's line, as written there; None where it is another line."""
        parts = re.split(FIELD, _line(self.cells))  # text, name, text, ...
        pattern = "".join(f"(?P<{part}>[-0-9.,]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts))
        found = re.fullmatch(pattern, line)
        return found.groupdict() if found else None


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def at(path: str, factor: float = 1.0) -> Callable[[Any], float]:
    """The number at table/pooled/..., times a factor."""

    def find(results: Any) -> float:
        for name in path.split("/"):
            results = results[int(name) if isinstance(results, list) else name]
        return factor * float(results)

    return find


def diarized(part: str, measure: str) -> Callable[[Any], float]:
    """Of eval/diarization.py: a measure of all recordings of a set, or of two sets together ("AMI+conv_dev")."""

    def find(results: Any) -> float:
        rows = {row["set"]: row for row in results["table"] if row["half"] == "all"}
        return float(sum(rows[name][measure] for name in part.split("+")))

    return find


def slowest(kind: str) -> Callable[[Any], float]:
    """Of eval/library.py: the largest median of the queries of one kind, in milliseconds."""
    return lambda results: max(row["p50"] for name, row in results["milliseconds"].items() if name.startswith(kind))


def middle(name: str, factor: float = 1.0) -> Callable[[Any], float]:
    """The median of a list."""
    return lambda results: factor * statistics.median(results[name])


def times_the_work(results: Any) -> float:
    """Processor seconds of pyannote's plain pipeline for one of ours."""
    ours = min(run["cpu_x_real_time"] for run in results["speed"]["ours"])
    return float(results["speed"]["pyannote_step_0.1"]["cpu_x_real_time"] / ours)


MEASUREMENTS = {
    "words": Measurement("eval/quality.py words", "words.json", 20),
    "silence": Measurement("eval/quality.py silence", "silence.json", 2),
    "speakers": Measurement("eval/quality.py speakers", "speakers.json", 10),
    "diarization": Measurement("eval/diarization.py", "diarization.json", 15),
    "diarization-speed": Measurement("eval/diarization.py --speed", "diarization-speed.json", 15),
    "short": Measurement("eval/service.py short", "short.json", 10),
    "long": Measurement("eval/service.py long", "long.json", 120),
    "memory": Measurement("eval/service.py memory", "memory.json", 60),
    "startup": Measurement("eval/service.py startup", "startup.json", 5),
    "load-throughput": Measurement("eval/load.py throughput", "load-throughput.json", 5),
    "load-memory": Measurement("eval/load.py memory", "load-memory.json", 10),
    "library": Measurement("eval/library.py", "library.json", 10),
    "kills": Measurement("eval/kills.py", "kills.json", 45),
    "text-pii": Measurement("eval/text_pii.py", "text-pii.json", 2),
    "text-retrieval": Measurement("eval/text_retrieval.py", "text-retrieval.json", 4),
    "text-translate": Measurement("eval/text_translation.py", "text-translate.json", 1),
    "text-speed": Measurement("eval/text_speed.py", "text-speed.json", 4),
}

ROWS = (
    Row(
        "words",
        ("WER, LibriSpeech test-other and FLEURS ({files} recordings)", "{ours} %", "{bare} % bare faster-whisper"),
        {
            "files": Number(at("table/pooled/stt_lab/files"), ".0f"),
            "ours": Number(at("table/pooled/stt_lab/wer", 100), ".2f", LESS, 0.5),
            "bare": Number(at("table/pooled/bare/wer", 100), ".2f", LESS, 0.5),
        },
    ),
    Row(
        "silence",
        ("words where nobody speaks ({files} recordings)", "{words}", ""),
        {"files": Number(at("files"), ".0f"), "words": Number(at("words"), ".0f", LESS)},
    ),
    Row(
        "diarization",
        (
            "DER, {clips} AMI clips / {talks} conversations, overlaps scored",
            "{ami} / {conv} %",
            "{ami_floor} / {conv_floor} % with oracle clusters",
        ),
        {
            "clips": Number(diarized("AMI", "clips"), ".0f"),
            "talks": Number(diarized("conv_dev", "clips"), ".0f"),
            "ami": Number(diarized("AMI", "auto"), ".1f", LESS, 0.5),
            "conv": Number(diarized("conv_dev", "auto"), ".1f", LESS, 0.5),
            "ami_floor": Number(diarized("AMI", "floor"), ".1f", LESS, 0.5),
            "conv_floor": Number(diarized("conv_dev", "floor"), ".1f", LESS, 0.5),
        },
    ),
    Row(
        "diarization",
        ("number of speakers right", "{right} of {all}", "{told} of {all_told} when told"),
        {
            "right": Number(diarized("AMI+conv_dev", "right"), ".0f", MORE, 1),
            "all": Number(diarized("AMI+conv_dev", "clips"), ".0f"),
            "told": Number(diarized("AMI+conv_dev", "right_given"), ".0f", MORE, 1),
            "all_told": Number(diarized("AMI+conv_dev", "clips"), ".0f"),
        },
    ),
    Row(
        "speakers",
        ("words with the wrong speaker (WDER)", "{words} %", "{segments} % labelling whole segments"),
        {
            "words": Number(at("table/all/word wder", 100), ".1f", LESS, 0.5),
            "segments": Number(at("table/all/segment wder", 100), ".1f", LESS, 0.5),
        },
    ),
    Row(
        "diarization-speed",
        (
            "diarization of {minutes} minutes, x real time",
            "{rtf}",
            "about {times} times the CPU in pyannote's plain pipeline",
        ),
        {
            "minutes": Number(at("speed/seconds", 1 / 60), ".0f"),
            "rtf": Number(
                lambda results: min(run["wall_x_real_time"] for run in results["speed"]["ours"]), ".2f", LESS, 0.05
            ),
            "times": Number(times_the_work, ".0f", MORE, 8),
        },
    ),
    Row(
        "short",
        ("clips under 10 s, language=auto", "{times} times faster", "bare faster-whisper with its defaults"),
        {"times": Number(at("median_ratio"), ".1f", MORE, 0.2)},
    ),
    Row(
        "long",
        (
            "two files of 6 minutes, share of the other's time: clock / processors",
            "{wall} / {cpu}",
            "bare faster-whisper, with word times and voice activity detection",
        ),
        {
            "wall": Number(at("ratios/fast wall"), ".2f", LESS, 0.05),
            "cpu": Number(at("ratios/fast cpu"), ".2f", LESS, 0.05),
        },
    ),
    Row(
        "memory",
        (
            "peak memory, all processes, {short} min / {long} min with speakers",
            "{short_gb} / {long_gb} GB",
            "",
        ),
        {
            "short": Number(at("30/duration", 1 / 60), ".0f"),
            "long": Number(at("120/duration", 1 / 60), ".0f"),
            "short_gb": Number(at("30/peak_mb", 0.001), ".1f", LESS, 0.3),
            "long_gb": Number(at("120/peak_mb", 0.001), ".1f", LESS, 0.3),
        },
    ),
    Row(
        "load-throughput",
        ("eight clients at once, throughput of one client's", "{ratio}", ""),
        {"ratio": Number(at("ratio"), ".2f", MORE, 0.15)},
    ),
    Row(
        "load-memory",
        ("memory after {jobs} jobs, above that after 20", "{growth} %", ""),
        {"jobs": Number(at("jobs"), ".0f"), "growth": Number(at("growth", 100), ".1f", LESS, 4.5)},
    ),
    Row(
        "library",
        ("list / search of {count} transcripts on SQLite, worst median", "{list} / {search} ms", ""),
        {
            "count": Number(at("transcripts"), ",.0f"),
            "list": Number(slowest("list"), ".0f", LESS, 20),
            "search": Number(slowest("search"), ".0f", LESS, 40),
        },
    ),
    Row(
        "startup",
        (
            "server until its page answers / `import stt_lab`",
            "{page} / {library} s",
            "idle it takes {idle} % of a core",
        ),
        {
            "page": Number(middle("page_s"), ".0f", LESS, 8),
            "library": Number(middle("import_s"), ".2f", LESS, 0.1),
            "idle": Number(middle("idle_cores", 100), ".0f", LESS, 3),
        },
    ),
    Row(
        "kills",
        ("a working server killed {kills} times (SIGKILL): answers lost, charges twice, remains", "{faults}", ""),
        {"kills": Number(at("kills"), ".0f"), "faults": Number(lambda results: len(results["faults"]), ".0f", LESS)},
    ),
    Row(
        "text-pii",
        (
            "personal data found in conversations, {items} items / with names that nobody has",
            "{found} / {strangers} %",
            "{precision} % of what is taken out is such",
        ),
        {
            "items": Number(at("all/planted"), ".0f"),
            "found": Number(at("all/recall", 100), ".1f", MORE, 1),
            "strangers": Number(at("strangers/recall", 100), ".0f", MORE, 2),
            "precision": Number(at("all/precision", 100), ".0f", MORE, 2),
        },
    ),
    Row(
        "text-retrieval",
        (
            "the passage with the answer is among the first three ({questions} questions)",
            "{found} %",
            "{words} % by words alone, {meaning} % by MiniLM alone",
        ),
        {
            "questions": Number(at("refused/as it is/all/answerable"), ".0f"),
            "found": Number(at("found/sum/hit@3", 100), ".0f", MORE, 2),
            "words": Number(at("found/words/hit@3", 100), ".0f", MORE, 2),
            "meaning": Number(at("found/meaning/hit@3", 100), ".0f", MORE, 2),
        },
    ),
    Row(
        "text-retrieval",
        (
            "questions that the transcript does not answer ({questions}), refused without a language model",
            "{refused} %",
            "and {wrong} of {answerable} that it does",
        ),
        {
            "questions": Number(at("refused/as it is/all/unanswerable"), ".0f"),
            "refused": Number(at("refused/as it is/all/refused", 100), ".0f", MORE, 4),
            "wrong": Number(at("refused/as it is/all/wrongly_refused"), ".0f", LESS, 2),
            "answerable": Number(at("refused/as it is/all/answerable"), ".0f"),
        },
    ),
    Row(
        "text-translate",
        ("{sentences} sentences into Portuguese and back, chrF", "{chrf}", "{empty} empty, {warnings} doubtful"),
        {
            "sentences": Number(at("sentences"), ".0f"),
            "chrf": Number(at("chrf"), ".1f", MORE, 1),
            "empty": Number(at("empty"), ".0f", LESS),
            "warnings": Number(at("warnings"), ".0f", LESS, 2),
        },
    ),
    Row(
        "text-speed",
        ("{words} words without a language model: summary / all six analyses", "{summary} / {analyses} s", ""),
        {
            "words": Number(at("words"), ",.0f"),
            "summary": Number(at("writing/again/summary/wall_s"), ".1f", LESS, 2),
            "analyses": Number(at("writing/again/analyses/wall_s"), ".1f", LESS, 5),
        },
    ),
    Row(
        "text-speed",
        ("embeddings, the variant of 8 bits", "{times} times faster", "sentence-transformers"),
        {"times": Number(at("embedding/times_faster/all-MiniLM-L6-v2-int8"), ".1f", MORE, 0.3)},
    ),
)
