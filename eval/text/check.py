"""What is wrong with the text evaluation set: a sentence for every fault. build.py writes nothing that has one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]

WORDS = (300, 3000)  # of a transcript
ENOUGH = {"transcripts": 12, "complete": 8, "pii": 100, "of a type": 8, "answerable": 40, "unanswerable": 20}
ENOUGH |= {"paraphrase": 15, "injections": 40, "sentences": 200}
LABELS = ("actions", "entities", "pii", "questions", "action_decoys", "pii_decoys", "question_decoys")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RESERVED_PHONES = (  # numbers that regulators keep for fiction, without spaces
    r"1?\d{3}55501\d\d",  # North America
    r"0(207946|113496|161496)0\d{3}|07700900\d{3}",  # Britain
    r"025550\d{4}|049157\d{4}",  # Australia
    r"(0|49)(3023125|2214710)\d{3}",  # Germany
    r"(0199|0639)(00|98)\d{4}",  # France
)
RESERVED_ADDRESSES = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")  # RFC 5737, RFC 3849
RESERVED_DOMAINS = r"[\w.+-]+@(?:[\w-]+\.example|example\.(?:com|org|net))"  # RFC 2606
SMALL_WORDS = re.compile(
    "about|because|been|before|being|could|does|from|have|into|make|more|most|much|over|said|some|than|that|their|them|"
    "then|there|they|this|those|very|were|what|when|where|which|while|whose|will|with|would|your"
)


def is_card(text: str) -> bool:
    """13 to 19 digits whose Luhn sum is a multiple of ten."""
    digits = [int(digit) for digit in figures(text)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """ISO 13616: with the country and check digits at the end, A as 10, B as 11, the rest by 97 is 1."""
    plain = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", plain):
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def is_phone(text: str) -> bool:
    return any(re.fullmatch(pattern, figures(text)) for pattern in RESERVED_PHONES)


def is_ip(text: str) -> bool:
    return text.replace(" dot ", ".").startswith(RESERVED_ADDRESSES)


def is_email(text: str) -> bool:
    return re.fullmatch(RESERVED_DOMAINS, text.replace(" at ", "@").replace(" dot ", ".")) is not None


def figures(text: str) -> str:
    """The digits of a number that may be said in words: "oh seven, 00" is 0700."""
    said = re.findall(r"\d|[a-z]+", text.lower())
    return "".join("0" if word == "oh" else str(DIGITS.index(word)) if word in DIGITS else word for word in said)


VALID: dict[str, Callable[[str], bool]] = {
    "CREDIT_CARD": is_card,
    "IBAN": is_iban,
    "PHONE_NUMBER": is_phone,
    "IP_ADDRESS": is_ip,
    "EMAIL_ADDRESS": is_email,
    "DATE_OF_BIRTH": lambda text: re.search(r"\d{4}|two thousand", text) is not None,
    "PERSON": lambda text: text[0].isupper(),
    "ADDRESS": lambda text: re.search(r"\d|Road", text) is not None,
}


def joined(row: Row) -> str:
    return " ".join(segment["text"] for segment in row["segments"])


# A transcript


def faults_of_transcript(row: Row) -> Iterator[str]:
    yield from faults_of_segments(row)
    yield from faults_of_labels(row)
    yield from faults_of_actions(row)
    yield from faults_of_pii(row)
    text = joined(row)
    if not WORDS[0] <= len(text.split()) <= WORDS[1]:
        yield f"{len(text.split())} words"
    starts = [chapter["start_segment"] for chapter in row["chapters"]]
    if (
        not 3 <= len(starts) <= 8
        or starts[0] != 0
        or starts != sorted(set(starts))
        or starts[-1] >= len(row["segments"])
    ):
        yield f"chapters start at {starts}"
    if not 3 <= len(re.findall(r"[.!?](?= |$)", row["summary"])) <= 6:
        yield "the summary has not 3 to 6 sentences"
    if row["sentiment"] not in ("positive", "neutral", "negative", None):
        yield f"sentiment {row['sentiment']}"
    if not set(row["names"]) <= {segment["speaker"] for segment in row["segments"]}:
        yield "names has speakers who say nothing"


def faults_of_segments(row: Row) -> Iterator[str]:
    end = 0.0
    for i, segment in enumerate(row["segments"]):
        if not end <= segment["start"] < segment["end"]:
            yield f"segment {i} lasts from {segment['start']} to {segment['end']}, the one before ends at {end}"
        end = segment["end"]
        if not segment["text"].strip() or segment["text"] != " ".join(segment["text"].split(" ")).strip():
            yield f"segment {i} has no text, or space around it"


def faults_of_labels(row: Row) -> Iterator[str]:
    text = joined(row)
    for name in LABELS:
        for label in row[name]:
            if text[label["start"] : label["end"]] != label["text"] or label["text"] != label["text"].strip():
                yield f"{name}: {label['text']!r} is not at {label['start']}"
            if (
                name == "entities"
                and re.match(r"the ", label["text"], re.IGNORECASE)
                and label["label"] != "WORK_OF_ART"
            ):
                yield f"the article is part of {label['text']!r}"
    covered = [
        (label["start"], label["end"]) for name in LABELS for label in row[name] if name not in ("entities", "pii")
    ]
    for mark in re.finditer(r"\?", text):
        if not any(start < mark.end() <= end for start, end in covered):
            yield f"neither a question, an action nor a decoy: {text[max(0, mark.end() - 60) : mark.end()]!r}"


def faults_of_actions(row: Row) -> Iterator[str]:
    """Owners are speakers or named; what is due is said in the action or within two segments of it."""
    text = joined(row)
    speakers = {segment["speaker"] for segment in row["segments"]}
    for action in row["actions"]:
        if action["owner"] not in (None, *speakers) and action["owner"] not in text:
            yield f"nobody is called {action['owner']}"
        if action["due"] and action["due"] not in text[action["start"] : action["end"] + 300]:
            yield f"{action['due']!r} is not said near {action['text']!r}"


def faults_of_pii(row: Row) -> Iterator[str]:
    for item in row["pii"]:
        if not VALID[item["type"]](item["text"]):
            yield f"{item['text']!r} is no {item['type']} of the reserved ones"
    for decoy in row["pii_decoys"]:
        if decoy["type"] in ("CREDIT_CARD", "IBAN", "EMAIL_ADDRESS") and VALID[decoy["type"]](decoy["text"]):
            yield f"the decoy {decoy['text']!r} is valid"


# Questions


def faults_of_question(row: Row, transcripts: dict[str, Row]) -> Iterator[str]:
    if row["transcript"] not in transcripts:
        yield f"no transcript {row['transcript']}"
        return
    segments = transcripts[row["transcript"]]["segments"]
    if not row["question"].endswith("?"):
        yield "no question mark"
    if not row["answerable"]:
        return
    held = [segments[i]["text"] for i in row["segments"]]
    if not row["answer"] or not held or not all(any(quote in text for text in held) for quote in row["evidence"]):
        yield "the evidence is not in its segments"
    shared = stems(row["question"]) & stems(" ".join(held))
    if row["kind"] == "paraphrase" and shared:
        yield f"a paraphrase shares {sorted(shared)}"


def stems(text: str) -> set[str]:
    """Beginnings of the words of at least four letters that carry meaning."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{4,}", text.lower()) if not SMALL_WORDS.fullmatch(word)}


# The whole


def counts(files: dict[str, list[Row]], sentences: list[str]) -> Counter[str]:
    transcripts, questions = files["transcripts.jsonl"], files["questions.jsonl"]
    types = Counter(item["type"] for row in transcripts for item in row["pii"])
    return Counter(
        {
            "transcripts": len(transcripts),
            "complete": sum(row["entities_complete"] for row in transcripts),
            "pii": types.total() - types["PERSON"],
            "of a type": min(types[name] for name in VALID),
            "answerable": sum(row["answerable"] for row in questions),
            "unanswerable": sum(not row["answerable"] for row in questions),
            "paraphrase": sum(row["kind"] == "paraphrase" for row in questions),
            "injections": len(files["injections.jsonl"]),
            "sentences": len(set(sentences)),
        }
    )


def faults(files: dict[str, list[Row]], sentences: list[str]) -> list[str]:
    """Every fault of the set, with the row that has it."""
    transcripts = {row["id"]: row for row in files["transcripts.jsonl"]}
    found = [f"{name}: {fault}" for name, row in transcripts.items() for fault in faults_of_transcript(row)]
    for row in files["questions.jsonl"]:
        found += [f"{row['transcript']}, {row['question']}: {fault}" for fault in faults_of_question(row, transcripts)]
    for row in files["injections.jsonl"]:
        found += [f"{row['id']}: {fault}" for fault in faults_of_segments(row)]
        found += [f"{row['id']}: {len(row['segments'])} segments"] * (not 1 <= len(row["segments"]) <= 6)
    found += [f"{len(line.split())} words: {line}" for line in sentences if not 3 <= len(line.split()) <= 45]
    have = counts(files, sentences)
    return found + [f"{have[name]} {name}, not {least}" for name, least in ENOUGH.items() if have[name] < least]
