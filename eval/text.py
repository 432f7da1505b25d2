"""What is found in and written about texts, on the labelled conversations of eval/text.

    python eval/text.py [--engine extractive] [--only summaries,actions]

A measure is a function below, registered by its name; results go to eval/results/text-ENGINE.json, and a table is
printed. `tuned` are the conversations that the extractive writer was tuned on, `held_out` those that it was not.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

from stt_lab.runtime import private_runtime
from stt_lab.settings import get_settings
from stt_lab.text.sentences import sentences
from stt_lab.types import Segment, TextSpan, Transcript, silent
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.templates import shipped, template
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import as_dict
from stt_lab.writing.writer import Writer, writer

HERE = Path(__file__).parent
COMPLETE = ("PERSON", "ORG", "GPE", "DATE", "MONEY")  # labels of which every mention is marked
OVERLAP = 0.5  # of the shorter of two stretches, from which they are the same
ALSO_TUNED = "stand-up"  # beside every other conversation: the odd ones have no meeting of a team
Row = dict[str, Any]
Groups = dict[str, list["Talk"]]


@dataclass(frozen=True)
class Talk:
    """A conversation with its labels."""

    row: Row

    @cached_property
    def script(self) -> SourceText:
        segments = tuple(
            Segment(one["start"], one["end"], one["text"], speaker=one["speaker"]) for one in self.row["segments"]
        )
        return SourceText.of(Transcript("en", segments[-1].end, segments))


class Once:
    """A writer that is asked each thing once, though conversations are in several groups."""

    def __init__(self, by: Writer, tools: Tools) -> None:
        self.model = by.model
        self.summarize, self.analyze, self.generate = cache(by.summarize), cache(by.analyze), cache(by.generate)
        self.parse = cache(tools.parse)


@dataclass
class Counts:
    """Of labels that were found, of what was found without a label, and of labels that were not found."""

    hits: int = 0
    extra: int = 0
    missed: int = 0

    def scores(self) -> Row:
        return {
            "precision": ratio(self.hits, self.hits + self.extra),
            "recall": ratio(self.hits, self.hits + self.missed),
            "f1": ratio(2 * self.hits, 2 * self.hits + self.extra + self.missed),
            "labels": self.hits + self.missed,
        }


def ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


MEASURES: dict[str, Callable[[Once, list[Talk]], Row]] = {}


def measure(fn: Callable[[Once, list[Talk]], Row]) -> Callable[[Once, list[Talk]], Row]:
    MEASURES[fn.__name__] = fn
    return fn


def same(one: Row, other: Row) -> bool:
    shared = min(one["end"], other["end"]) - max(one["start"], other["start"])
    return shared > 0 and shared >= OVERLAP * min(one["end"] - one["start"], other["end"] - other["start"])


def paired(found: Sequence[Row], labels: Sequence[Row], counts: Counts) -> list[tuple[Row, Row]]:
    """What was found with its label, one to one, in the order of the labels; counted."""
    left, pairs = list(found), []
    for label in labels:
        hit = next((one for one in left if same(one["span"], label)), None)
        if hit is not None:
            left.remove(hit)
            pairs.append((hit, label))
    counts.hits += len(pairs)
    counts.extra += len(left)
    counts.missed += len(labels) - len(pairs)
    return pairs


# What is found; beside it what little rules find: sentences with words of promises, all with a mark, spaCy's own names

PROMISED = re.compile(r"\b(?:I'll|we'll|will|please|need to|have to|let's|can you|could you|should)\b", re.IGNORECASE)


def matching(talk: Talk, pattern: re.Pattern[str]) -> list[Row]:
    text = talk.script.text
    found = (span for span in sentences(text) if pattern.search(span.of(text)))
    return [{"span": as_dict(span)} for span in found]


@measure
def actions(by: Once, talks: list[Talk]) -> Row:
    """Stretches that overlap; owners by name or speaker, times word for word; decoys that were taken."""
    counts, plain, owners, dues, decoys = Counts(), Counts(), [], [], [0, 0]
    for talk in talks:
        paired(matching(talk, PROMISED), talk.row["actions"], plain)
        found = by.analyze(talk.script, "action_items").result
        for hit, label in paired(found, talk.row["actions"], counts):
            owners.append(_owner(talk, hit["owner"], label["owner"]))
            dues.append(hit["due"] == label["due"])
        decoys[0] += sum(any(same(one["span"], decoy) for one in found) for decoy in talk.row["action_decoys"])
        decoys[1] += len(talk.row["action_decoys"])
    decoyed = f"{decoys[0]} of {decoys[1]}"
    more = {"owner": mean(owners), "due": mean(dues), "decoys_taken": decoyed, "f1_by_words": plain.scores()["f1"]}
    return counts.scores() | more


def _owner(talk: Talk, found: str | None, label: str | None) -> bool:
    """Also by the name of a speaker who is only numbered."""
    return found == label or (found is not None and found in talk.row["names"].get(label, "").split())


@measure
def entities(by: Once, talks: list[Talk]) -> Row:
    """Exact stretches and labels, an article in front left out, where every mention is marked."""
    each, parser = ({label: Counts() for label in COMPLETE} for _ in range(2))
    for talk in (talk for talk in talks if talk.row["entities_complete"]):
        _count(each, talk, by.analyze(talk.script, "entities").result)
        _count(parser, talk, map(asdict, by.parse(talk.script.text, "en").entities))
    each_f1 = {f"f1_{kind}": counts.scores()["f1"] for kind, counts in each.items()}
    return _pooled(each).scores() | each_f1 | {"f1_spacy_alone": _pooled(parser).scores()["f1"]}


def _count(each: dict[str, Counts], talk: Talk, rows: Iterable[Row]) -> None:
    found, labels = _mentions(talk, rows), _mentions(talk, talk.row["entities"])
    for kind, counts in each.items():
        mine, marked = ({one for one in some if one[2] == kind} for some in (found, labels))
        counts.hits += len(mine & marked)
        counts.extra += len(mine - marked)
        counts.missed += len(marked - mine)


def _pooled(each: dict[str, Counts]) -> Counts:
    parts = each.values()
    return Counts(sum(c.hits for c in parts), sum(c.extra for c in parts), sum(c.missed for c in parts))


def _mentions(talk: Talk, rows: Iterable[Row]) -> set[tuple[int, int, str]]:
    article = len("the ")
    return {
        (row["start"] + article * row["text"].lower().startswith("the "), row["end"], row["label"])
        for row in rows
        if row["label"] in COMPLETE
    }


@measure
def questions(by: Once, talks: list[Talk]) -> Row:
    counts, plain, right, open_ = Counts(), Counts(), [], Counts()
    for talk in talks:
        paired(matching(talk, re.compile(r"\?\W*$")), talk.row["questions"], plain)
        found = by.analyze(talk.script, "questions").result
        for hit, label in paired(found, talk.row["questions"], counts):
            right.append(hit["answered"] == label["answered"])
            open_.hits += not hit["answered"] and not label["answered"]
            open_.extra += not hit["answered"] and label["answered"]
            open_.missed += hit["answered"] and not label["answered"]
    more = {"answered": mean(right), "unanswered": open_.scores(), "f1_by_marks": plain.scores()["f1"]}
    return counts.scores() | more


@measure
def topics(by: Once, talks: list[Talk]) -> Row:
    """Topics with a word of the titles of chapters, or of our summary; titles with a word of the topics. Without stop
    words, and beside as many most frequent words."""
    names = ("in_titles", "in_summary", "titles_covered")
    rows: dict[str, list[float]] = {name + kind: [] for kind in ("", "_frequent") for name in names}
    for talk in talks:
        titles = [stems(one["title"]) for one in talk.row["chapters"]]
        found = [stems(one["topic"]) for one in by.analyze(talk.script, "topics").result]
        often = Counter(chain.from_iterable(stems(word) for word in talk.script.text.split()))
        frequent = [{stem} for stem, _ in often.most_common(len(found))]
        for kind, named in (("", found), ("_frequent", frequent)):
            rows["in_titles" + kind].append(fmean(any(one & title for title in titles) for one in named))
            rows["in_summary" + kind].append(fmean(bool(one & stems(talk.row["summary"])) for one in named))
            rows["titles_covered" + kind].append(fmean(any(one & title for one in named) for title in titles))
    return {name: mean(values) for name, values in rows.items()}


def stems(text: str) -> set[str]:
    from nltk.stem.porter import PorterStemmer
    from spacy.lang.en.stop_words import STOP_WORDS

    words = (word.strip("'") for word in re.findall(r"[a-z']{3,}", text.lower()))
    return {PorterStemmer().stem(word.removesuffix("'s")) for word in words if word.split("'")[0] not in STOP_WORDS}


@measure
def sentiment(by: Once, talks: list[Talk]) -> Row:
    marked = [talk for talk in talks if talk.row["sentiment"]]
    right = [by.analyze(talk.script, "sentiment").result["label"] == talk.row["sentiment"] for talk in marked]
    return {"accuracy": mean(right), "conversations": len(right)}


@measure
def chapters(by: Once, talks: list[Talk]) -> Row:
    """Pk (Beeferman et al. 1999) over segments, less is better; beside it as many even ones, and a single one."""
    rows: dict[str, list[float]] = {"pk": [], "pk_even": [], "pk_none": []}
    for talk in talks:
        size, starts = len(talk.row["segments"]), [one["start_segment"] for one in talk.row["chapters"]]
        items = by.generate(talk.script, template("chapter_markers"), "").items
        assert items[0]["start"] == 0, "chapters must begin with the recording"
        found = [min(item["sources"]) for item in items]
        even = [round(i * size / len(starts)) for i in range(len(starts))]
        for name, cut in (("pk", found), ("pk_even", even), ("pk_none", [0])):
            rows[name].append(pk(starts, cut, size))
    return {name: mean(values) for name, values in rows.items()}


def pk(reference: Sequence[int], found: Sequence[int], size: int) -> float:
    """How often two segments, half a mean chapter apart, are wrongly in one chapter or in two."""
    apart = max(1, round(size / len(reference) / 2))
    first, second = ([sum(start <= i for start in starts) for i in range(size)] for starts in (reference, found))
    wrong = [(first[i] == first[i + apart]) != (second[i] == second[i + apart]) for i in range(size - apart)]
    return fmean(wrong)


# What is written


@measure
def summaries(by: Once, talks: list[Talk]) -> Row:
    """ROUGE F of the brief summary against ours by hand; the first three sentences, and as many words, beside it."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    rows: dict[str, list[Any]] = {"brief": [], "lead_3": [], "lead_as_long": []}
    for talk in talks:
        text, made = talk.script.text, by.summarize(talk.script, "brief").summary
        lead = " ".join(span.of(text) for span in sentences(text)[:3])
        as_long = " ".join(text.split()[: len(made.split())])
        for name, said in (("brief", made), ("lead_3", lead), ("lead_as_long", as_long)):
            rows[name].append(scorer.score(talk.row["summary"], said))
    return {
        f"{name}_{kind}": mean([scores[kind].fmeasure for scores in found])
        for name, found in rows.items()
        for kind in ("rouge1", "rouge2", "rougeL")
    }


@measure
def citations(by: Once, talks: list[Talk]) -> Row:
    """Spans and sources that exist, of every style and kind of document; quotes that are in the text word for word."""
    seen: Counter[str] = Counter()
    for talk in talks:
        text, orders = talk.script.text, range(len(talk.row["segments"]))
        for style in ("brief", "detailed", "action_items", "bullet_points"):
            for one in by.summarize(talk.script, style).statements:
                seen += _cited(text, orders, one.spans, one.sources)
        for item in (item for kind in shipped() for item in by.generate(talk.script, kind, "").items):
            spans = [TextSpan(**span) for span in item["spans"]]
            seen += _cited(text, orders, spans, item["sources"])
            seen += Counter(quotes="quote" in item, verbatim=item.get("quote", "\0") in text)
    return {
        "resolve": ratio(seen["resolve"], seen["cited"]),
        "verbatim": ratio(seen["verbatim"], seen["quotes"]),
        "statements": seen["cited"],
        "quotes": seen["quotes"],
    }


def _cited(text: str, orders: range, spans: Sequence[TextSpan], sources: Sequence[int]) -> Counter[str]:
    good = bool(spans and sources) and all(span.of(text).strip() and span.end <= len(text) for span in spans)
    return Counter(cited=1, resolve=good and all(order in orders for order in sources))


def mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 4) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="extractive", help="a writer: extractive, or the id of a language model")
    parser.add_argument("--only", default="", help="measures, by commas")
    options = parser.parse_args()
    tools = Tools(private_runtime(get_settings()).pool, silent)
    by = Once(writer(tools, options.engine), tools)
    lines = (HERE / "text" / "transcripts.jsonl").read_text("utf-8").splitlines()
    talks = [Talk(json.loads(line)) for line in lines]
    wanted = options.only.split(",") if options.only else list(MEASURES)
    path = HERE / "results" / f"text-{options.engine}.json"
    made: Row = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    made["conversations"] = {group: {"count": len(some)} for group, some in split(talks).items()}
    for name in wanted:
        made[name] = {group: MEASURES[name](by, some) for group, some in split(talks).items()}
        print(name, json.dumps(made[name], indent=1), flush=True)
    path.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    show(made)


def split(talks: list[Talk]) -> Groups:
    tuned = [talk for number, talk in enumerate(talks) if number % 2 == 0 or talk.row["id"] == ALSO_TUNED]
    return {"tuned": tuned, "held_out": [talk for talk in talks if talk not in tuned], "all": talks}


def show(made: Row) -> None:
    """A line for each number: of the tuned conversations, of those held out, of all."""
    for name, groups in made.items():
        for key in groups["all"]:
            print(
                f"{name + ': ' + key:34}",
                *(f"{groups[group].get(key)!s:>12}" for group in ("tuned", "held_out", "all")),
            )


if __name__ == "__main__":
    main()
