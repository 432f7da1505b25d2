"""The notebooks: as files, and executed over a stored run whose predictions are made up."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ROOT, Choose
from fakes import tone
from lab_toys import made_run

from stt_lab.cli import main
from stt_lab.errors import BadInput, MissingFile, Unavailable
from stt_lab.lab.report import notebooks, plots, show, streams, tables
from stt_lab.lab.report import own_recordings as own
from stt_lab.lab.runs import runner
from stt_lab.lab.runs.predictions import Prediction, append
from stt_lab.lab.runs.suite import read_dict
from stt_lab.lab.scoring import results, scores, words
from stt_lab.metrics import StreamLog, StreamUpdate
from stt_lab.settings import get_settings
from stt_lab.types import Segment, Turn, Word

slow = pytest.mark.slow
NAMES = [
    "00-report", "01-word-error", "02-speed-and-latency", "03-diarization", "04-robustness", "05-live",
    "06-compare-systems", "07-error-analysis", "08-your-own-data",
]  # fmt: skip
ALLOWED = {"stt_lab", "pandas", "matplotlib", "IPython"}
SAID = ["the cat sat on the mat", "a <b>bold</b> move", "two words", "nobody knows Ada in 7 streets", "go on", "yes"]
TALK = [("A", "well then"), ("B", "quite so")]


def rows() -> list[dict[str, Any]]:
    """Six recordings of one voice, one of two, and one of nobody."""
    made: list[dict[str, Any]] = [
        {"id": f"r{n}", "audio": f"r{n}.wav", "language": ("en", "pt")[n % 2], "text": text, "source": f"place {n % 3}"}
        for n, text in enumerate(SAID)
    ]
    spans = [{"start": n, "end": n + 1, "speaker": who, "text": text} for n, (who, text) in enumerate(TALK)]
    turns = [{key: span[key] for key in ("start", "end", "speaker")} for span in spans]
    made.append(
        {"id": "talk", "audio": "talk.wav", "language": "en", "kind": "conversation", "segments": spans, "turns": turns}
    )
    return [*made, {"id": "nobody", "audio": "nobody.wav", "text": "", "kind": "non-speech"}]


def heard(system: str, item: str, place: int) -> Prediction:
    """One system hears all, the other loses the first word and one recording."""
    cost: dict[str, Any] = {"seconds": 0.1 + place / 10, "cpu": 0.2, "memory_mb": 100.0, "busy": place == 3}
    if system == "deaf" and item == "r5":
        return Prediction(system, item, 2.0, error="It failed & <i>said</i> so.")
    if item == "talk":
        spans = tuple(
            Segment(n, n + 1, text, speaker="X" if system == "deaf" else who) for n, (who, text) in enumerate(TALK)
        )
        turns = tuple(Turn(span.start, span.end, span.speaker or "") for span in spans)
        return Prediction(system, item, 2.0, "well then quite so", "en", spans, turns, **cost)
    text = "" if item == "nobody" else SAID[place]
    return Prediction(system, item, 2.0, text.partition(" ")[2] if system == "deaf" else text, "en", **cost)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a scored run of two systems."""
    speech = tmp_path_factory.mktemp("lab") / "speech"
    speech.mkdir()
    for row in rows():
        tone(speech / row["audio"], 2.0)
    (speech / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
    systems = [{"name": name, "engine": "stt_lab", "model": "echo", "diarize": True} for name in ("good", "deaf")]
    suite = read_dict({"name": "stored", "dataset": str(speech), "systems": systems})
    made = runner.create(suite, speech.parent / "runs", get_settings(), Path(), "stored")
    for place, row in enumerate(rows()):
        for system in ("good", "deaf"):
            append(made.predictions, heard(system, row["id"], place))
    scores.score(made)
    return made.folder


@pytest.fixture(scope="module")
def opened(run: Path) -> results.Results:
    return results.open_results(run)


# As files


def test_all_notebooks_are_found() -> None:
    assert list(notebooks.notebooks()) == NAMES
    assert {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} == {f"{name}.ipynb" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_thin_and_stripped(name: str) -> None:
    made = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    nbformat.validate(made)
    assert made.metadata.kernelspec.name == "python3"
    tagged = [cell for cell in made.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert notebooks.parameters_of(notebooks.find(name))
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(len(cell.source.splitlines()) <= 8 for cell in code if cell is not tagged[0])
    texts = [cell for cell in made.cells if cell.cell_type == "markdown"]
    assert len(texts) >= len(code) - 2
    for node in ast.walk(ast.parse("\n".join(cell.source for cell in code))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {module.partition(".")[0] for module in modules} <= ALLOWED


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


def test_each_notebook_has_an_example() -> None:
    folder = ROOT / "docs" / "examples"
    assert sorted(path.stem for path in folder.glob("[0-9]*.md")) == NAMES
    assert sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0].isdigit()) == NAMES
    index = (folder / "README.md").read_text("utf-8")
    for name in NAMES:
        page = (folder / f"{name}.md").read_text("utf-8")
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        assert headings(page) == headings("\n".join(texts)), f"run `make examples` for {name}"
        pictures = set(re.findall(rf"!\[[^]]+\]\(({name}/\d+\.png)\)", page))
        assert pictures == {f"{name}/{path.name}" for path in (folder / name).iterdir()} != set()
        assert len(page) + sum((folder / one).stat().st_size for one in pictures) < 400_000
        assert not re.search(r"<(audio|script|style)|data:audio|Traceback", page)
        assert f"]({name}.md)" in index


# What they show


def test_tables_are_those_of_the_scores(opened: results.Results) -> None:
    table = tables.rates(opened, "wer").set_index("system")
    stored = opened.scores["systems"]["deaf"]["quality"]["all"]["wer"]["wer"]
    assert table.loc["deaf", "value"] == pytest.approx(100 * stored["value"])
    assert table.loc["good", "value"] == 0
    kinds = tables.parts(opened, "wer", ("substitutions", "deletions", "insertions")).loc["deaf"]
    assert kinds.sum() == pytest.approx(table.loc["deaf", "value"])
    single = tables.recordings(opened)
    assert len(single) == 11  # one failed
    lengths = tables.by_length(opened)
    assert set(lengths["group"]) == {"under 5 s"}
    pooled = lengths.set_index("system")
    assert pooled.loc["deaf", "value"] == pytest.approx(table.loc["deaf", "value"])
    assert tables.paired(opened, "good", "deaf")["difference"].max() <= 0
    lost = tables.confusion_pairs(opened, "deaf").set_index("said")
    assert (lost["heard"] == tables.NOTHING).all()
    total = tables.rates(opened).set_index("system")["total"]["deaf"]
    assert words.by_kind(opened, "deaf")["said"].sum() == words.by_length(opened, "deaf")["said"].sum() == total
    assert list(tables.speed(opened)["busy"]).count(True) == 2
    noisy = tables.by_snr(opened)
    assert set(noisy["group"]) == {"under 5 dB"}  # a tone without pauses
    assert list(noisy["total"]) == list(tables.rates(opened)["total"])


def test_words_have_kinds(opened: results.Results) -> None:
    table = words.by_kind(opened, "deaf").set_index("words")
    assert list(table.index) == [words.NUMBER, words.NAME, words.FREQUENT, words.ONCE]
    assert list(table.loc[words.NUMBER, ["said", "wrong"]]) == [2, 1]  # "two" is one
    assert list(table.loc[words.NAME, ["said", "wrong"]]) == [1, 0]
    assert "the" in table.loc[words.FREQUENT, "most often wrong"]
    assert table["wrong"].sum() == words.by_length(opened, "deaf")["wrong"].sum() == 5
    assert words.by_kind(opened, "good")["wrong"].sum() == 0


def test_figures_have_axes_and_words(opened: results.Results) -> None:
    made = [
        *plots.overview(opened),
        plots.by_length(opened),
        plots.by_snr(opened),
        plots.waiting(opened),
        plots.by_group(opened, "kind", "der"),
    ]
    made += [plots.differences(opened, "good", "deaf"), plots.paired(opened, "good", "deaf")]
    assert len(made) >= 14
    for figure in made:
        (axes,) = figure.axes
        assert axes.get_xlabel()
        assert axes.get_title(loc="left")
        assert min(text.get_fontsize() for text in axes.get_xticklabels() + axes.get_yticklabels()) >= 10
    picture, about = made[0]._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert about["alt"] == "WER (%) by system"
    assert len({plots.style(name, opened.systems)["color"] for name in opened.systems}) == 2


def test_texts_are_escaped_and_sound_is_there(opened: results.Results) -> None:
    page = show.worst(opened, "deaf", 2).data
    assert page.count("<audio") == 2
    assert 'src="data:audio' in page
    assert "<del>" in page
    assert "<b>bold" not in page
    assert "&amp; &lt;i&gt;said" in show.failures(opened).data
    assert "&lt;b&gt;" in show.table(tables.labelled(tables.rates(opened).assign(group="<b>"))).data
    assert "recordings)" in show.verdicts(opened, "good", "deaf").data


def test_what_is_not_there_is_a_sentence(
    opened: results.Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="no system 'goood'"):
        opened.pair("goood")
    with pytest.raises(BadInput, match="references for error of word starts"):
        plots.by_system(opened, "word_starts")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFile, match="Make one with `stt-lab eval quick`"):
        results.open_results()


# Executed


def test_word_error_is_executed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--report", str(run), "--notebook", "01"]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == run / "01-word-error.html"
    html = page.read_text("utf-8")
    assert html.count("<img") == 5
    assert 'alt="WER (%) by system"' in html
    assert "<script" not in html
    assert "open_results" not in html  # the code is hidden
    kept = nbformat.read(run / "01-word-error.ipynb", as_version=4)
    assert "papermill" not in kept.metadata


def test_unknown_parameters_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--report", str(run), "--notebook", "07", "--set"]
    assert main([*command, "mots=3"]) == 1
    assert "has no parameter 'mots'. Did you mean 'most'? Choose from run, system, most." in capsys.readouterr().err
    assert main([*command, "most=many"]) == 1
    assert "most of 07-error-analysis cannot be 'many'. Use type int, such as 8." in capsys.readouterr().err
    assert main(["eval", "--report", str(run), "--notebook", "09"]) == 1
    assert "Unknown notebook '09'. Choose from 00-report" in capsys.readouterr().err
    assert main(["eval", "--report", str(run.parent)]) == 1
    assert "No run was found at" in capsys.readouterr().err
    assert not (run / "07-error-analysis.ipynb").exists()


@slow
def test_a_failing_notebook_is_kept(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"06-compare-systems failed: This run has no system 'x'.* See out.ipynb"):
        notebooks.execute(notebooks.find("06"), {"run": str(run), "first": "x"}, tmp_path / "out.ipynb")
    kept = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert any(output.output_type == "error" for cell in kept.cells for output in cell.get("outputs", []))
    assert not (tmp_path / "out.html").exists()


@slow
@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("01-word-error", "04-robustness", "05-live", "08-your-own-data")]
)
def test_the_others_are_executed(run: Path, name: str) -> None:
    page = notebooks.report(run, name).read_text("utf-8")
    assert page.count("<img") >= 2
    assert "Traceback" not in page


@pytest.fixture(scope="module")
def live_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two live systems, one of which knows no times, and of one that is not live."""
    said = ["well", "then", "here", "we", "are"]
    words = [{"word": word, "start": n * 0.5, "end": n * 0.5 + 0.4} for n, word in enumerate(said)]
    written = tuple(Word(n * 0.5, n * 0.5 + 0.4, word) for n, word in enumerate(said))
    log = StreamLog(
        (
            StreamUpdate(1.5, 1.5, partial="well den"),
            StreamUpdate(2.0, 2.0, "Well then", words=written[:2]),
            StreamUpdate(3.5, 3.0, "hear we are.", words=written[2:]),
        ),
        worked_s=1.5, steps=4, skipped=1,
    )  # fmt: skip
    plain = StreamLog((StreamUpdate(4.0, 3.0, "well then here we are"),), "stopped")
    rows = [
        {"id": "timed", "audio": "timed.wav", "language": "en", "text": " ".join(said), "words": words},
        {"id": "untimed", "audio": "untimed.wav", "language": "en", "text": " ".join(said)},
    ]
    found = [
        Prediction(system, row["id"], 3.0, stream.text if stream else "well", "en", seconds=3.0, stream=stream)
        for row in rows
        for system, stream in (("one live", log), ("other live", plain), ("file", None))
    ]
    return made_run(tmp_path_factory.mktemp("live"), rows, found).folder


def test_streams_are_measured(live_run: Path, opened: results.Results) -> None:
    live = streams.measure(results.open_results(live_run))
    assert list(live.systems) == ["one live", "other live"]
    table = streams.latencies(live).set_index(["system", "seconds from"])
    late = table.loc["one live", "end of a word to final"]
    assert (late["times"], late["of"]) == (4, "5")
    assert late["mean"] == pytest.approx((1.6 + 1.1 + 1.6 + 1.1) / 4)
    assert table.loc["other live", "end of speech to its final"]["p50"] == pytest.approx(1.6)
    kept = streams.stability(live).set_index("system")
    one = kept.loc["one live"]
    assert (one["churn (%)"], one["work (s per s)"], one["steps"]) == (pytest.approx(100 * 1 / 6), 0.5, "8")
    assert (one["finals"], one["repeated"], one["changed"]) == (4, 0, 0)
    assert list(kept["clock"]) == ["running", "stopped"]
    assert kept.loc["other live", "steps"] == "-"
    for figure in (streams.emission(live), streams.ends(live), streams.timeline(live)):
        (axes,) = figure.axes
        assert axes.get_xlabel()
        assert axes.get_title(loc="left")
    with pytest.raises(BadInput, match=r"No live recording 'untimed' has word times. Choose from timed"):
        streams.timeline(live, "one live", "untimed")
    with pytest.raises(BadInput, match=r"no live system 'file'. Choose from one live, other live"):
        streams.timeline(live, "file")
    with pytest.raises(BadInput, match="Nobody speaks from 50 to 70 s"):
        streams.timeline(live, start=50.0)
    with pytest.raises(BadInput, match="Make a run with `stt-lab eval live`"):
        streams.measure(opened)


@slow
def test_live_speech_is_executed(live_run: Path) -> None:
    page = notebooks.report(live_run, "05").read_text("utf-8")
    assert page.count("<img") >= 4
    assert 'alt="One live: timed"' in page
    assert "Traceback" not in page


def test_recordings_without_a_text_are_named_at_once(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "call.wav").write_bytes((run.parent.parent / "speech" / "r0.wav").read_bytes())
    with pytest.raises(BadInput, match=r"Write the text of call.wav to call.txt, in the same folder"):
        own.load(str(mine), str(tmp_path))
    (mine / "call.txt").write_text("Hello.", "utf-8")
    assert own.load(str(mine), str(tmp_path / "out"), "de").items[0].language == "de"


@slow
@pytest.mark.truth
def test_own_data_is_executed(recordings: Choose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech = tmp_path / "mine"
    speech.mkdir()
    chosen = recordings(language="en", kind="utterance")[:2]
    for one in chosen:
        (speech / one.path.name).symlink_to(one.path)
        (speech / one.path.with_suffix(".txt").name).write_text(one.text or "", "utf-8")
    values = {"recordings": str(speech), "language": "en", "models": "tiny.en"}
    page = notebooks.report(tmp_path / "out", "08", values).read_text("utf-8")
    assert page.count("<audio") == 2
    assert "no problems" in page
    assert len(list((tmp_path / "out").glob("own-*/scores.json"))) == 1
    assert "2 of 2, 0 failed: done" in capsys.readouterr().err


@slow
@pytest.mark.truth
def test_robustness_is_executed(recordings: Choose, tmp_path: Path) -> None:
    speech = tmp_path / "speech"
    speech.mkdir()
    one = recordings(language="en", kind="utterance")[0]
    row = {"audio": str(one.path), "language": "en", "text": one.text, "duration": one.duration}
    (speech / "manifest.jsonl").write_text(json.dumps(row), "utf-8")
    values = {"recordings": str(speech), "models": "tiny.en", "snrs": [10, 0], "limit": 1, "speeds": [], "rooms": [0.3]}
    page = notebooks.report(tmp_path / "out", "04", values).read_text("utf-8")
    assert 'alt="WER (%) by condition"' in page
    assert 'alt="WER (%) by signal-to-noise ratio"' in page
