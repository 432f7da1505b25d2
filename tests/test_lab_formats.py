"""Every format of references is written from values, by us and by another library, and read back.

What is read is equal, or refused with file and line; never something else.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import needs

from stt_lab.errors import BadInput
from stt_lab.lab.data.annotations import Annotation, read_annotation
from stt_lab.lab.data.dataset import read_manifest, write_manifest
from stt_lab.lab.data.importers import ImportOptions, common_voice, fleurs, librispeech, table
from stt_lab.lab.data.items import Dataset, Flaw, Item
from stt_lab.types import Segment, Turn, Word

Write = Callable[[Path, Any, "Style"], Path]
Read = Callable[[Path], Any]
QUICK, THOROUGH = 30, 1000  # generated files of each format


@dataclass(frozen=True)
class Style:
    """How a file is stored."""

    encoding: str
    newline: str

    def put(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", self.newline).encode(self.encoding))
        return path


styles = st.builds(
    Style, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.sampled_from(["\n", "\r\n", "\r"])
)
LETTERS = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters="<>[](){}/@%+#!;*♪♫-\\&\ufeff"
)
tokens = st.text(LETTERS, min_size=1, max_size=6)
labels = tokens.filter(lambda word: word.lower() not in ("sil", "sp", "spn", "silb", "sile", "na"))
breaks = st.sampled_from([" ", "  ", "\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\xa0"])  # none ends a line
texts = st.lists(st.tuples(labels, breaks), min_size=1, max_size=4).map(
    lambda parts: "".join(word + gap for word, gap in parts).strip()
)
names = st.lists(tokens.filter(lambda name: name not in ("-", "NA")), min_size=1, max_size=2).map(" ".join)
times = st.tuples(st.integers(0, 10_000_000), st.integers(0, 50_000)).map(lambda ms: (ms[0] / 1000, sum(ms) / 1000))
turns = st.builds(lambda time, speaker: Turn(*time, speaker), times, names)
words = st.builds(
    lambda time, text, sure: Word(*time, text, sure),
    times,
    labels,
    st.none() | st.integers(0, 100).map(lambda per: per / 100),
)
segments = st.builds(lambda time, text, speaker: Segment(*time, text, speaker=speaker), times, texts, names)


def some(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(parts, min_size=1, max_size=4).map(lambda found: tuple(sorted(found, key=lambda one: one.start)))


def folded(text: str) -> str:
    return " ".join(text.split())


def annotation(path: Path) -> Annotation:
    return read_annotation(path, path.name, ["my talk"])


def blanks(values: Any) -> bool:
    return any(" " in (one.speaker or "") for one in values)


# NIST


def put_rttm(path: Path, values: Any, style: Style) -> Path:
    rows = (f"SPEAKER my talk 1 {t.start:.3f} {t.end - t.start:.3f} <NA> <NA> {t.speaker} <NA> <NA>\n" for t in values)
    return style.put(path, ";; turns\n" + "".join(rows))


def put_rttm_pyannote(path: Path, values: Any, style: Style) -> Path:
    from pyannote.core import Annotation as Turns
    from pyannote.core import Segment as Stretch

    made = Turns(uri="talk")
    for number, turn in enumerate(values):
        made[Stretch(turn.start, turn.end), number] = turn.speaker
    return style.put(path, made.to_rttm())


def put_stm(path: Path, values: Any, style: Style) -> Path:
    rows = (f"my talk 1 {s.speaker} {s.start:.3f} {s.end:.3f} <o,f0,female> {s.text}\n" for s in values)
    return style.put(path, "".join(rows))


def put_stm_meeteval(path: Path, values: Any, style: Style) -> Path:
    from meeteval.io import STM
    from meeteval.io.stm import STMLine

    return style.put(path, STM([STMLine("talk", 1, s.speaker, s.start, s.end, s.text) for s in values]).dumps())


def put_ctm(path: Path, values: Any, style: Style) -> Path:
    sure = (f" {w.confidence:.2f}" if w.confidence is not None else "" for w in values)
    rows = (f"talk\tA\t{w.start:.3f}\t{w.end - w.start:.3f} {w.text}{c}\n" for w, c in zip(values, sure, strict=True))
    return style.put(path, "".join(rows))


def put_ctm_meeteval(path: Path, values: Any, style: Style) -> Path:
    from meeteval.io import CTM
    from meeteval.io.ctm import CTMLine

    return style.put(
        path, CTM([CTMLine("talk", "A", w.start, round(w.end - w.start, 3), w.text) for w in values]).dumps()
    )


def read_turns(path: Path) -> Any:
    return annotation(path).turns


def in_order(values: Any) -> Any:
    return sorted(values, key=lambda one: (one.start, one.end, one.speaker))


def read_sorted_turns(path: Path) -> Any:
    return in_order(read_turns(path))


def read_words(path: Path) -> Any:
    return tuple((w.start, w.end, w.text) for w in annotation(path).words or ())


def read_spoken(path: Path) -> Any:
    return tuple((s.start, s.end, s.speaker, folded(s.text)) for s in annotation(path).segments or ())


def as_words(values: Any) -> Any:
    return tuple((w.start, w.end, w.text) for w in values)


def as_spoken(values: Any) -> Any:
    return tuple((s.start, s.end, s.speaker, folded(s.text)) for s in values)


# Subtitles


def clock(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


def put_srt(path: Path, values: Any, style: Style) -> Path:
    cues = (f"{n}\n{clock(s.start, ',')} --> {clock(s.end, ',')}\n{s.text}\n\n" for n, s in enumerate(values, 1))
    return style.put(path, "".join(cues))


def put_dense_srt(path: Path, values: Any, style: Style) -> Path:
    """Without empty lines between cues."""
    cues = (f"{n}\n{clock(s.start, ',')} --> {clock(s.end, ',')}\n{s.text}\n" for n, s in enumerate(values, 1))
    return style.put(path, "".join(cues))


def put_vtt(path: Path, values: Any, style: Style) -> Path:
    cues = (f"{clock(s.start, '.')} --> {clock(s.end, '.')} line:0\n<v {s.speaker}>{s.text}</v>\n\n" for s in values)
    return style.put(path, "WEBVTT\n\nNOTE ours\n\n" + "".join(cues))


def put_subtitles_pysubs2(path: Path, values: Any, style: Style) -> Path:
    needs("pysubs2")
    import pysubs2

    made = pysubs2.SSAFile()
    for one in values:
        start, end = round(one.start * 1000), round(one.end * 1000)
        made.append(pysubs2.SSAEvent(start, end, one.text))
    return style.put(path, made.to_string(path.suffix[1:]))


def read_said(path: Path) -> Any:
    return tuple((s.start, s.end, folded(s.text)) for s in annotation(path).segments or ())


def as_said(values: Any) -> Any:
    return tuple((s.start, s.end, folded(s.text)) for s in values)


# Praat


def in_a_row(values: Any) -> Any:
    """Move intervals, so that none overlaps another one."""
    now, made = 0.0, []
    for one in values:
        start = round(now + one.start / 100, 3)
        now = round(start + one.duration + 0.001, 3)
        made.append(type(one)(**vars(one) | {"start": start, "end": now}))
    return tuple(made)


said = st.builds(
    lambda time, text, quote: Word(*time, quote + text + quote), times, labels, st.sampled_from(["", '"', "item [1]:"])
)


def put_textgrid(path: Path, values: Any, style: Style) -> Path:
    end = max(one.end for one in values)
    short = style.newline == "\r\n"
    rows = [f"xmin = {one.start} \nxmax = {one.end} \ntext = {quoted(one.text)} " for one in values]
    head = f"xmin = 0 \nxmax = {end} \n"
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n' + head + "tiers? <exists> \nsize = 1 \nitem []: \n"
    text += f'item [1]:\nclass = "IntervalTier" \nname = "words" \n{head}intervals: size = {len(rows)} \n'
    text += "".join(f"intervals [{number}]:\n{row}\n" for number, row in enumerate(rows, 1))
    if short:
        text = re.sub(
            r"^(?:[a-z? ]+= |tiers\? |(?:item|intervals) \[\d*\]: ?\n|intervals: size = )", "", text, flags=re.M
        )
    return style.put(path, text)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def put_textgrid_praatio(path: Path, values: Any, style: Style) -> Path:
    from praatio import textgrid
    from praatio.utilities import textgrid_io

    entries = [(one.start, one.end, one.text) for one in values]
    made = textgrid.Textgrid()
    made.addTier(textgrid.IntervalTier("words", entries, 0, values[-1].end))
    form = "short_textgrid" if style.newline == "\r\n" else "long_textgrid"
    tiers = [{"class": "IntervalTier", "name": tier.name, "xmin": 0, "xmax": tier.maxTimestamp} | {
        "entries": [tuple(entry) for entry in tier.entries]} for tier in made.tiers]  # fmt: skip
    whole = {"xmin": 0, "xmax": values[-1].end, "tiers": tiers}
    return style.put(path, textgrid_io.getTextgridAsStr(whole, form, True))


# Tables and manifests

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), min_size=1, max_size=8).filter(str.strip)
lined = st.lists(cells, min_size=1, max_size=3)
one_line = st.lists(cells.map(lambda cell: cell.replace("\n", " ").strip("\n") or "x"), min_size=1, max_size=3)


def put_csv(path: Path, values: Any, style: Style) -> Path:
    out = io.StringIO()
    to = csv.writer(out, delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")
    to.writerows([("audio", "text"), *((f"{n}.wav", text) for n, text in enumerate(values))])
    return Style(style.encoding, "\n").put(path, out.getvalue())


def put_csv_pandas(path: Path, values: Any, style: Style) -> Path:
    import pandas as pd

    rows = pd.DataFrame({"audio": [f"{n}.wav" for n in range(len(values))], "text": list(values)})
    rows.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",", encoding=style.encoding)
    return path


def put_unquoted(path: Path, values: Any, style: Style) -> Path:
    rows = "".join(f"{n}.wav\t{text.replace(chr(9), ' ')}\n" for n, text in enumerate(values))
    return style.put(path, "audio\ttext\n" + rows)


def read_table(path: Path) -> Any:
    return tuple((item.text or "").replace("\r\n", "\n") for item in table.read(str(path), ImportOptions()))


def read_unquoted(path: Path) -> Any:
    return tuple(folded((item.text or "").replace('"', "")) for item in table.read(str(path), ImportOptions()))


def as_unquoted(values: Any) -> Any:
    return tuple(folded(text.replace("\t", " ").replace('"', "")) for text in values)


rows_of = st.lists(
    st.builds(
        lambda text, found, heard: {"text": text, "turns": found, "words": heard},
        st.none() | st.text(st.characters(codec="utf-8"), max_size=9),
        some(turns),
        some(words),
    ),
    min_size=1,
    max_size=3,
)


def put_manifest(path: Path, values: Any, style: Style) -> Path:
    items = tuple(Item(f"{n}", path.parent / f"{n}.wav", **row) for n, row in enumerate(values))
    write_manifest(Dataset("d", path.parent, items), path)
    return path


def put_manifest_pandas(path: Path, values: Any, style: Style) -> Path:
    import pandas as pd

    items = (Item(f"{n}", path.parent / f"{n}.wav", **row).row(path.parent) for n, row in enumerate(values))
    rows = pd.DataFrame(list(items)).to_dict("records")  # a text that is missing is NaN
    lines = (pd.DataFrame([row]).to_json(orient="records", lines=True, double_precision=15) for row in rows)
    path.write_text("".join(lines), "utf-8")
    return path


def read_rows(path: Path) -> Any:
    return [{"text": item.text, "turns": item.turns, "words": item.words} for item in read_manifest(path).items]


def put_json(path: Path, values: Any, style: Style) -> Path:
    parts = [vars(one) for one in values]
    style.put(path.with_name("w.json"), json.dumps(parts, ensure_ascii=style.newline == "\n", indent=1))
    path.write_text('{"audio": "a.wav", "words": "w.json"}\n')
    return path


def read_json(path: Path) -> Any:
    return read_manifest(path).items[0].words


def put_txt(path: Path, values: Any, style: Style) -> Path:
    return style.put(path, values)


def read_txt(path: Path) -> Any:
    return annotation(path).text


# Tables of corpora


def put_common_voice(path: Path, values: Any, style: Style) -> Path:
    rows = "".join(f"{n}.mp3\t{text.replace(chr(9), ' ')}\n" for n, text in enumerate(values))
    return style.put(path.parent / "en" / "test.tsv", "path\tsentence\n" + rows)


def read_common_voice(path: Path) -> Any:
    return tuple(folded(item.text or "") for item in common_voice.read(str(path.parent), ImportOptions()))


def put_fleurs(path: Path, values: Any, style: Style) -> Path:
    (path.parent / "en_us/audio/test").mkdir(parents=True, exist_ok=True)
    rows = "".join(f"7\t{n}.wav\t{text.replace(chr(9), ' ')}\tx\tx\t8\tM\n" for n, text in enumerate(values))
    return style.put(path.parent / "en_us" / "test.tsv", rows)


def read_fleurs(path: Path) -> Any:
    return tuple(folded(item.text or "") for item in fleurs.read(str(path.parent), ImportOptions()))


def put_librispeech(path: Path, values: Any, style: Style) -> Path:
    chapter = path.parent / "chapter"
    chapter.mkdir(exist_ok=True)
    for n in range(len(values)):
        (chapter / f"1-2-{n}.flac").touch()
    return style.put(chapter / "1-2.trans.txt", "".join(f"1-2-{n} {text}\n" for n, text in enumerate(values)))


def read_librispeech(path: Path) -> Any:
    return tuple(folded(item.text or "") for item in librispeech.read(str(path.parent), ImportOptions()))


def as_cells(values: Any) -> Any:
    return tuple(folded(text.replace("\t", " ")) for text in values)


# What is tried


@dataclass(frozen=True)
class Form:
    """A format and a program that writes it."""

    file: str
    values: st.SearchStrategy[Any]
    write: Write
    read: Read
    expected: Callable[[Any], Any] = lambda values: values
    may_refuse: Callable[[Any], bool] = lambda values: False


no_blanks = names.filter(lambda name: " " not in name)
plain_turns = st.builds(lambda time, name: Turn(time[0], round(time[1] + 0.001, 3), name), times, no_blanks)
plain_segments = st.builds(lambda time, text, name: Segment(*time, text, speaker=name), times, texts, no_blanks)
distinct = {"unique_by": lambda one: (one.start, one.end)}
FORMS = {
    "rttm": Form("talk.rttm", some(turns), put_rttm, read_turns, may_refuse=blanks),
    "rttm, pyannote": Form("talk.rttm", some(plain_turns), put_rttm_pyannote, read_sorted_turns, in_order),
    "stm": Form("talk.stm", some(segments), put_stm, read_spoken, as_spoken, blanks),
    "stm, meeteval": Form("talk.stm", some(plain_segments), put_stm_meeteval, read_spoken, as_spoken),
    "ctm": Form("talk.ctm", some(words), put_ctm, read_words, as_words),
    "ctm, meeteval": Form("talk.ctm", some(words), put_ctm_meeteval, read_words, as_words),
    "srt": Form("talk.srt", some(segments), put_srt, read_said, as_said),
    "srt without empty lines": Form("talk.srt", some(segments), put_dense_srt, read_said, as_said),
    "srt, pysubs2": Form("talk.srt", some(segments), put_subtitles_pysubs2, read_said, as_said),
    "vtt": Form("talk.vtt", some(segments), put_vtt, read_spoken, as_spoken),
    "vtt, pysubs2": Form("talk.vtt", some(segments), put_subtitles_pysubs2, read_said, as_said),
    "textgrid": Form("talk.TextGrid", some(said).map(in_a_row), put_textgrid, read_words, as_words),
    "textgrid, praatio": Form("talk.TextGrid", some(said).map(in_a_row), put_textgrid_praatio, read_words, as_words),
    "csv": Form("t.csv", lined, put_csv, read_table, tuple, lambda values: any("\n" in one for one in values)),
    "csv, pandas": Form("t.csv", lined, put_csv_pandas, read_table, tuple, lambda v: any("\n" in one for one in v)),
    "tsv": Form("t.tsv", lined, put_csv, read_table, tuple, lambda values: any("\n" in one for one in values)),
    "tsv, pandas": Form("t.tsv", lined, put_csv_pandas, read_table, tuple, lambda v: any("\n" in one for one in v)),
    "tsv without quotes": Form(
        "t.tsv",
        one_line,
        put_unquoted,
        read_unquoted,
        as_unquoted,
        lambda values: sum('"' in one for one in values) > 1,
    ),
    "manifest": Form("m.jsonl", rows_of, put_manifest, read_rows),
    "manifest, pandas": Form("m.jsonl", rows_of, put_manifest_pandas, read_rows),
    "json": Form("m.jsonl", some(words), put_json, read_json),
    "txt": Form("talk.txt", texts, put_txt, read_txt),
    "common voice": Form("x", one_line, put_common_voice, read_common_voice, as_cells),
    "fleurs": Form("x", one_line, put_fleurs, read_fleurs, as_cells),
    "librispeech": Form("x", one_line, put_librispeech, read_librispeech, as_cells),
}


def read_back(form: Form, folder: Path, examples: int) -> None:
    refused = 0

    @settings(
        max_examples=examples, deadline=None, derandomize=examples == QUICK, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(form.values, styles)
    def each(values: Any, style: Style) -> None:
        nonlocal refused
        path = form.write(folder / form.file, values, style)
        try:
            found = form.read(path)
        except (Flaw, BadInput) as flaw:
            if not form.may_refuse(values) or not re.search(r"\w+\.\w+ line \d+", str(flaw)):
                raise
            refused += 1
        else:
            assert found == form.expected(values)

    each()
    print(f"{examples} files, {refused} refused")


@pytest.mark.parametrize("name", FORMS)
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    read_back(FORMS[name], tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_thousand_files_are_read(name: str, tmp_path: Path) -> None:
    read_back(FORMS[name], tmp_path, THOROUGH)
