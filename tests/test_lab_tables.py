"""Tables, figures and pages of runs whose numbers are known, of one row, and of none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lab_toys import made_results, said

from stt_lab.errors import BadInput, MissingFile
from stt_lab.lab.report import chart, pictures, plots, show, tables
from stt_lab.lab.runs.predictions import Prediction
from stt_lab.lab.scoring import mistakes, results, words
from stt_lab.lab.scoring.results import Results
from stt_lab.types import Turn

ROWS: list[dict[str, Any]] = [
    {"id": "a", "language": "en", "text": "the cat sat", "source": "x", "duration": 4.0, "speaker": "Ada"},
    {"id": "b", "language": "en", "text": "the dog ran off", "source": "x", "duration": 12.0, "speaker": "Ada"},
    {"id": "c", "language": "de", "text": "die Katze", "source": "y", "duration": 90.0, "speakers": ["Bob"]},
]
HEARD = [
    said("good", "a", "the cat sat", 4.0, seconds=1.0),
    said("good", "b", "the dog ran off", 12.0, seconds=3.0, busy=True),
    said("good", "c", "die Katze", 90.0, seconds=9.0),
    said("bad", "a", "the hat sat", 4.0, seconds=2.0),
    said("bad", "b", "the hat off", 12.0, seconds=6.0),
    Prediction("bad", "c", 90.0, error="It broke & <b>fell</b>."),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made_results(tmp_path_factory.mktemp("tables"), ROWS, HEARD)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run of one system over one recording."""
    return made_results(tmp_path_factory.mktemp("one"), ROWS[:1], [said("only", "a", "the cat", 4.0)])


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run that has no text, no time and no speaker to score."""
    return made_results(tmp_path_factory.mktemp("mute"), [{"id": "a"}], [Prediction("mute", "a", 4.0)])


# Rates


def test_rates_by_system_and_group(found: Results) -> None:
    whole = tables.rates(found)
    assert list(whole["system"]) == ["good", "bad"]
    assert list(whole["value"]) == [0.0, pytest.approx(300 / 7)]  # two wrong and one missing of seven
    assert list(whole["recordings"]) == [3, 2]
    by_language = tables.rates(found, "wer", "language").set_index(["system", "group"])["value"]
    assert by_language["bad", "en"] == pytest.approx(300 / 7)
    assert ("bad", "de") not in by_language  # all of it failed
    assert tables.rates(found, "der").empty


def test_what_a_rate_is_made_of(found: Results, mute: Results) -> None:
    parts = tables.parts(found, "wer", ("substitutions", "deletions", "insertions"))
    assert parts.loc["bad"].to_list() == [pytest.approx(200 / 7), pytest.approx(100 / 7), 0.0]
    assert tables.parts(mute, "wer", ("substitutions",)).empty


def test_a_column_per_system(found: Results, mute: Results) -> None:
    made = tables.systems(found)
    assert list(made.columns) == ["good", "bad"]
    assert made.loc["recordings"].to_list() == [3, 3]
    assert made.loc["failed"].to_list() == [0, 1]
    assert made.loc["CPU (s)"].to_list() == ["-", "-"]
    assert made.loc["WER (%)", "good"] == "0.0 (0.0–0.0)"
    assert list(tables.systems(mute).index) == ["recordings", "failed", "RTFx", "CPU (s)", "memory (MB)", "busy"]


def test_a_row_per_recording(found: Results) -> None:
    made = tables.recordings(found).set_index(["system", "item"])
    assert made.loc[("bad", "b"), "rate"] == pytest.approx(50.0)
    assert made.loc[("bad", "b"), ["substitutions", "deletions", "words"]].to_list() == [1, 1, 4]
    assert made.loc[("good", "c"), ["language", "source", "duration"]].to_list() == ["de", "y", 90.0]
    assert ("bad", "c") not in made.index
    assert list(tables.hardest(found, "wer", 1)["recording"]) == ["b"]


def test_groups_by_length_are_in_order(found: Results) -> None:
    made = tables.by_length(found)
    assert list(dict.fromkeys(made["group"])) == ["under 5 s", "10 to 20 s", "over 60 s"]
    assert made[made["system"] == "bad"]["value"].to_list() == [pytest.approx(100 / 3), pytest.approx(50.0)]


@pytest.mark.parametrize(
    ("snr", "group"),
    [
        (None, "cannot be estimated"), (-10.0, "under 5 dB"), (5.0, "5 to 10 dB"), (9.9, "5 to 10 dB"),
        (15.0, "15 to 20 dB"), (29.9, "20 to 30 dB"), (30.0, "30 dB and more"), (99.0, "30 dB and more"),
    ],
)  # fmt: skip
def test_groups_by_noise(snr: float | None, group: str, one: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "estimates", lambda items: {item.id: snr for item in items})
    made = tables.by_snr(one)
    assert made[["group", "recordings", "total"]].to_numpy().tolist() == [[group, 1, 3]]
    assert made["value"].to_list() == [pytest.approx(100 / 3)]


def test_groups_by_speaker(found: Results) -> None:
    made = tables.by_speaker(found)
    assert made[made["system"] == "good"][["group", "recordings", "total"]].to_numpy().tolist() == [
        ["Ada", 2, 7], ["Bob", 1, 2],
    ]  # fmt: skip
    assert tables.by_speaker(found, 1)["group"].to_list() == ["Ada"]


def test_speed_and_its_percentiles(found: Results, mute: Results) -> None:
    made = tables.speed(found)
    assert list(made["RTF"]) == [0.25, 0.25, 0.1, 0.5, 0.5]
    rows = tables.latency(found).set_index("system")
    assert rows.loc["good", ["median (s)", "median (RTF)", "recordings", "busy"]].to_list() == [3.0, 0.25, 3, 1]
    assert rows.loc["good", "90 % (s)"] == pytest.approx(3 + 0.8 * 6)  # between 3 and 9, interpolated
    with pytest.raises(BadInput, match=r"No recording of this run has a processing time\. Run the suite again"):
        tables.speed(mute)


def test_which_words_became_which(found: Results) -> None:
    made = tables.confusion_pairs(found, "bad")
    pairs = {(row["said"], row["heard"]): (row["times"], row["for example"]) for _, row in made.iterrows()}
    assert pairs["cat", "hat"] == (1, "a")
    assert sum(times for times, _ in pairs.values()) == 3
    assert tables.confusion_pairs(found, "good").empty


def test_two_systems_recording_by_recording(found: Results) -> None:
    made = tables.paired(found, "bad", "good")
    assert list(made.index) == ["b", "a"]
    assert list(made["difference"]) == [50.0, pytest.approx(100 / 3)]
    with pytest.raises(BadInput, match=r"'best' has no WER .* in this run\. Choose from bad, good"):
        tables.paired(found, "best", "good")


def test_comparisons_of_systems(found: Results, one: Results) -> None:
    assert set(tables.comparisons(found, "bad")["measure"]) == {"wer", "cer", "speed"}
    with pytest.raises(BadInput, match="There is no comparison"):
        tables.comparisons(found, "nobody")
    with pytest.raises(BadInput, match="There is no comparison"):
        tables.comparisons(one)


def test_what_the_numbers_depend_on(found: Results) -> None:
    made = tables.weights(found)["value"]
    assert list(made.index) == ["dataset", "normaliser", "intervals"]  # nobody wrote the rest down
    assert made["dataset"].startswith("speech, 3 recordings, ")
    (found.run.folder / "provenance.json").write_text('{"made": "now", "cores": 2, "commit": "abc+"}', "utf-8")
    again = results.open_results(found.run.folder)
    assert list(tables.weights(again)["value"])[:3] == ["now", "abc++", "2"]
    (found.run.folder / "provenance.json").unlink()


# Results


def test_systems_are_checked_by_name(found: Results, mute: Results) -> None:
    assert found.system() == found.system("good") == "good"
    assert mute.system() == "mute"  # nobody wrote words
    with pytest.raises(BadInput, match=r"This run has no system 'x'\. Choose from good, bad"):
        found.system("x")
    assert [item.id for item, _ in found.outputs("bad")] == ["a", "b"]


def test_two_systems_are_chosen(found: Results, one: Results) -> None:
    assert found.pair() == found.pair("good") == found.pair("", "bad") == ("good", "bad")
    assert found.pair("bad") == ("bad", "good")
    for results_, names in ((one, ()), (found, ("good", "good"))):
        with pytest.raises(BadInput, match="A comparison needs two systems"):
            results_.pair(*names)


def test_runs_without_predictions_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFile, match="No run was found in eval/runs"):
        results.open_results()
    made_results(tmp_path, ROWS, HEARD)
    (tmp_path / "runs/toy/predictions.jsonl").write_text("", "utf-8")
    with pytest.raises(BadInput, match="has no predictions yet"):
        results.open_results(tmp_path / "runs/toy")


def test_the_newest_run_of_a_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_results(tmp_path / "eval", ROWS, HEARD)
    (tmp_path / "deep/down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep/down")
    assert results.newest() == made.run.folder
    assert results.open_results().systems == ("good", "bad")


def test_outdated_scores_are_made_again(tmp_path: Path) -> None:
    folder = made_results(tmp_path, ROWS, HEARD[:1]).run.folder
    (folder / "scores.json").write_text("{", "utf-8")
    assert results.open_results(folder).scores["systems"]["good"]["recordings"] == 1


# Figures


def bars(figure: Any) -> list[float]:
    return [float(bar.get_width()) for bar in figure.axes[0].patches]


def points(figure: Any) -> list[float]:
    return [float(line.get_xdata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o"]


def labels(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_bars_have_the_values_of_the_table(found: Results) -> None:
    figure = plots.by_system(found)
    assert bars(figure) == [0.0, pytest.approx(300 / 7)]
    assert labels(figure) == ["good", "bad"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0", "42.9"]
    assert (figure.title, figure.axes[0].get_xlabel()) == ("WER (%) by system", "WER (%)")
    stacked = plots.error_types(found)
    assert sum(bars(stacked)) == pytest.approx(300 / 7)


def test_groups_say_how_many_recordings_they_have(found: Results) -> None:
    assert labels(plots.by_group(found)) == ["de (n = 1)", "en (n = 2)"]
    assert labels(plots.by_length(found)) == ["under 5 s (n = 1)", "10 to 20 s (n = 1)", "over 60 s (n = 1)"]


def test_each_system_has_a_look_of_its_own() -> None:
    names = [f"s{number}" for number in range(9)]
    looks = [chart.style(name, names) for name in names]
    assert len({(look["color"], look["marker"]) for look in looks[:8]}) == 8
    assert looks[8] == looks[0] == chart.style("unknown", names)


def test_long_names_are_cut_in_the_middle() -> None:
    assert chart.short("x" * 40) == "x" * 40
    cut = chart.short("a" * 30 + "b" * 30)
    assert (len(cut), cut[0], cut[-1], cut.count("…")) == (40, "a", "b", 1)


def test_error_bars() -> None:
    assert chart.error({"value": 3.0, "low": 1.0, "high": 7.0}) == [[2.0], [4.0]]
    assert chart.error({"value": 3.0, "low": 4.0, "high": 2.0}) == [[0.0], [0.0]]  # never negative
    assert chart.error({"value": 3.0, "low": math.nan, "high": 7.0}) == [[0.0], [0.0]]


def test_figures_of_one_recording(one: Results) -> None:
    assert bars(plots.by_system(one)) == [pytest.approx(100 / 3)]
    assert labels(plots.by_group(one)) == ["en (n = 1)"]
    assert len(plots.overview(one)) == 4  # WER, CER, kinds of errors, times; no comparison
    for draw in (plots.waiting, plots.seconds_by_length, plots.speed_error):
        png, about = draw(one)._repr_png_()
        assert png.startswith(b"\x89PNG")
        assert about["alt"]


@pytest.mark.parametrize("draw", [plots.by_system, plots.by_group, plots.by_length, plots.error_types, plots.der_parts])
def test_figures_of_nothing_are_refused(draw: Any, mute: Results) -> None:
    with pytest.raises(BadInput, match=r"No recording of this run has the references for [WD]ER .* docs/lab-data.md"):
        draw(mute)


def test_a_comparison_is_seen_from_the_first_system(found: Results) -> None:
    figure = plots.differences(found, "bad", "good")
    assert figure.axes[0].get_title("left") == "bad minus good"
    other = plots.differences(found, "good", "bad")
    values = [
        [float(line.get_xdata()[0]) for line in one.axes[0].lines if line.get_marker() == "o"]
        for one in (figure, other)
    ]
    assert values[0] == [pytest.approx(-value) for value in values[1]]
    assert values[0][0] == pytest.approx(300 / 7)
    assert labels(plots.paired(found, "bad", "good")) == ["b", "a"]


# Pages


def test_pictures_are_told_in_words(found: Results, one: Results, mute: Results) -> None:
    made = pictures.pictures(found)
    assert [picture.alt.partition(".")[0] for picture in made] == [
        "WER (%) by system", "WER (%) by language", "Processing time by length",
    ]  # fmt: skip
    assert "good: 0.0 (0.0 to 0.0); bad: 42.9" in made[0].alt
    assert made[2].alt.endswith("good: median real-time factor 0.25; bad: median real-time factor 0.50")
    assert len(pictures.pictures(one)) == 2
    assert pictures.pictures(mute) == []


def test_failures_are_escaped(found: Results, one: Results) -> None:
    html = show.failures(found).data
    assert "It broke &amp; &lt;b&gt;fell&lt;/b&gt;." in html
    assert "<b>" not in html
    assert show.failures(one).data == "<p>No system failed on any recording.</p>"


def test_a_page_says_what_is_not_there(one: Results, found: Results) -> None:
    assert show.table(pd.DataFrame()).data == show.NOTHING
    assert show.each([]).data == show.NOTHING
    assert "needs two systems" in show.verdicts(one).data
    assert show.verdicts(found).data.count("<li>") == 3


def test_a_recording_that_is_gone_has_no_player(found: Results, tmp_path: Path) -> None:
    item = found.items["a"]
    assert show.player(item, tmp_path) == "<p>(The recording no longer exists.)</p>"
    item.audio.write_bytes(b"x" * (show.EMBEDDED + 1))
    assert 'src="../' in show.player(item, found.run.folder)
    item.audio.unlink()


def test_the_name_of_a_recording_is_no_markup(found: Results, tmp_path: Path) -> None:
    audio = tmp_path / "a'\"><img src=x onerror=alert(1)>#1.wav"
    audio.write_bytes(b"x" * (show.EMBEDDED + 1))
    page = show.player(replace(found.items["a"], audio=audio), tmp_path)
    assert "<img" not in page
    assert "%3Cimg%20src%3Dx" in page
    assert "%231.wav" in page


# Words


def test_the_worst_recordings_come_first(found: Results) -> None:
    made = list(mistakes.worst(found, "bad", 1))
    assert [(one.item.id, one.words, one.rate, one.seconds) for one in made] == [("b", 4, 50.0, 12.0)]
    assert made[0].about == "<b>b</b>: WER 50 %, 4 words, 12.0 s"
    assert "<del>" in made[0].marked
    assert [one.rate for one in mistakes.worst(found)] == [0.0, 0.0, 0.0]


def test_words_of_strangers_are_escaped(tmp_path: Path) -> None:
    rows = [{"id": "<a>", "language": "en", "text": "<i>x</i>", "audio": "a.wav"}]
    made = made_results(tmp_path, rows, [said("s", "<a>", "<script>", None)], normaliser="none")
    (shown,) = mistakes.worst(made)
    assert shown.marked == "<del>&lt;i&gt;x&lt;/i&gt;</del> <ins>&lt;script&gt;</ins>"
    assert shown.about == "<b>&lt;a&gt;</b>: WER 100 %, 1 words"  # nobody knows how long it is


def test_kinds_of_words(tmp_path: Path) -> None:
    text = "the the the the we met Ada in 1999 the the old dog saw the old dog"
    made = made_results(
        tmp_path, [{"id": "a", "language": "en", "text": text}], [said("s", "a", text.replace("Ada", "Ida"))]
    )
    kinds = words.by_kind(made, "s").set_index("words")
    assert kinds["said"].to_dict() == {
        "numbers": 1, "names": 1, "frequent": 9, "less frequent": 2, "said only once": 4,
    }  # fmt: skip
    assert kinds.loc["names", ["wrong", "wrong (%)", "most often wrong"]].to_list() == [1, 100.0, "ada"]
    lengths = words.by_length(made, "s").set_index("words")
    assert lengths["said"].to_dict() == {"numbers": 1, "1 to 3 letters": 16}
    assert lengths["wrong"].to_dict() == {"numbers": 0, "1 to 3 letters": 1}


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("en", "We met Ada. Then we left", {"ada"}),  # "Then" begins a sentence
        ("en", "Ada met Bob and bob left", set()),  # one begins, the other is also written small
        ("de", "Die Katze sah den Hund", set()),  # German capitalises every noun
        ("en", "WE MET ADA", set()),
        ("en", "so I went", set()),
    ],
)
def test_names_are_words_with_a_capital(language: str, text: str, names: set[str], tmp_path: Path) -> None:
    made = made_results(tmp_path, [{"id": "a", "language": language, "text": text}], [said("s", "a", text)])
    kinds = words.by_kind(made, "s").set_index("words")["said"]
    assert kinds.get("names", 0) == len(names)


def test_turns_give_a_speaker_a_name(tmp_path: Path) -> None:
    rows = [{"id": "a", "language": "en", "text": "yes", "turns": [{"start": 0, "end": 1, "speaker": "Eve"}]}]
    made = made_results(tmp_path, rows, [said("s", "a", "yes", turns=(Turn(0, 1, "X"),))])
    assert tables.by_speaker(made)["group"].to_list() == ["Eve"]
