"""Make study questions: definitions, and sentences with a gap. Every answer is quoted from the text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from stt_lab.types import Entity, TextSpan
from stt_lab.writing.annotated_text import Sentence
from stt_lab.writing.fillers import cleaned, words
from stt_lab.writing.grammar import Grammar
from stt_lab.writing.grounding import addresses
from stt_lab.writing.material import Material
from stt_lab.writing.names import NAMES
from stt_lab.writing.values import Card

BLANK = "_____"
OPTIONS = 4
LEAST, MOST = 7, 40  # words of a sentence that becomes a question
ARTICLES = frozenset(["a", "an", "the"])
TELLING = NAMES | {"DATE", "MONEY", "PERCENT", "QUANTITY"}


def cards(material: Material, most: int) -> list[Card]:
    """Return the cards of the language model, then definitions, then gaps, in the order of the text; no sentence and no
    answer twice."""
    chosen: list[Card] = []
    for card in chain(material.cards(most), definitions(material), gaps(material)):
        if len(chosen) >= most:
            break
        if not any(card.span == other.span or card.answer.lower() == other.answer.lower() for other in chosen):
            chosen.append(card)
    return sorted(chosen, key=lambda card: card.span.start)


# Definitions


def definitions(material: Material) -> list[Card]:
    """Find definitions: "A puck is a sensor that sticks to the wall." becomes "What is a puck?" """
    annotated, made = material.annotated, []
    grammar = Grammar(annotated.text, annotated.parsed.tokens)
    for sentence in _ranked(material):
        found = _definition(material, grammar, sentence)
        if found:
            term, meaning, kind = found
            question = f"{'Who' if kind == 'PERSON' else 'What'} is {term}?"
            made.append(Card(question, meaning, TextSpan(sentence.start, sentence.end), "definition", term))
    return made


def _definition(material: Material, grammar: Grammar, sentence: Sentence) -> tuple[str, str, str] | None:
    """Return term, meaning and the entity label of the term."""
    for place in range(*material.annotated.places(sentence)):
        subject, said = _defined(grammar, place)
        if subject is None or said is None or min(grammar.subtree(said)) < place:
            continue
        term = _term(grammar, subject)
        meaning = material.annotated.text[grammar.tokens[min(grammar.subtree(said))].start : sentence.end].rstrip(" .!")
        if words(term) <= 5 and 3 <= words(meaning) <= 30:
            at = grammar.tokens[subject].start
            label = next((one.label for one in material.annotated.entities(sentence) if one.start <= at < one.end), "")
            return term, " ".join(meaning.split()), label
    return None


def _defined(grammar: Grammar, verb: int) -> tuple[int | None, int | None]:
    """Return the nouns before and after an "is" that defines something; otherwise (None, None)."""
    if grammar.tokens[verb].dep != "ROOT" or grammar.word(verb) not in ("is", "are", "'s", "’s"):
        return None, None
    subject = next((one for one in grammar.under(verb, "nsubj") if _is_noun(grammar, one)), None)
    said = next((one for one in grammar.under(verb, "attr") if _is_noun(grammar, one)), None)
    articles = {grammar.word(one) for one in grammar.under(said, "det")} if said is not None else set()
    if subject is None or grammar.tokens[subject].stop or not articles & ARTICLES or grammar.under(verb, "neg"):
        return None, None
    return subject, said


def _is_noun(grammar: Grammar, place: int) -> bool:
    return grammar.tokens[place].pos in ("NOUN", "PROPN")


def _term(grammar: Grammar, subject: int) -> str:
    """Return the words of a subject; an article at the beginning becomes lower case."""
    whole = sorted(grammar.subtree(subject))
    said = " ".join(grammar.text[grammar.tokens[whole[0]].start : grammar.tokens[whole[-1]].end].split())
    return said[0].lower() + said[1:] if grammar.word(whole[0]) in ARTICLES else said


# Gaps


def gaps(material: Material) -> Iterator[Card]:
    """Yield the most important sentences, each with a name, an amount or a key phrase replaced by a gap."""
    for sentence in _ranked(material):
        named = [
            one for one in material.annotated.entities(sentence) if one.label in TELLING and one.end <= sentence.end
        ]
        if named:
            yield _gap(material, sentence, _rarest(material, named))
    for sentence in _ranked(material):
        held = [(phrase, span) for phrase in material.phrases for span in phrase.spans if _in(span, sentence)]
        if held:
            span = held[0][1]
            yield _gap(material, sentence, Entity(span.start, span.end, span.of(material.annotated.text), "phrase"))


def _in(span: TextSpan, sentence: TextSpan) -> bool:
    return sentence.start <= span.start and span.end <= sentence.end


def _ranked(material: Material) -> list[Sentence]:
    """Return the sentences that suit a question, best first."""
    sentences = material.annotated.sentences
    order = sorted(range(len(sentences)), key=lambda place: (-material.scores[place], place))
    return [
        sentences[place]
        for place in order
        if LEAST <= words(sentences[place].text) <= MOST
        and not sentences[place].text.rstrip().endswith("?")
        and not addresses(sentences[place].text)  # an address with a gap would be another address
    ]


def _rarest(material: Material, named: Iterable[Entity]) -> Entity:
    """Return the entity that the text names least often, so that no other sentence gives it away."""
    text = material.annotated.text
    return min(named, key=lambda one: (text.count(one.text), one.start))


def _gap(material: Material, sentence: Sentence, answer: Entity) -> Card:
    before, behind = sentence.text[: answer.start - sentence.start], sentence.text[answer.end - sentence.start :]
    again = re.compile(rf"(?<!\w){re.escape(answer.text)}(?!\w)")
    question = cleaned(BLANK.join(again.sub(BLANK, part) for part in (before, behind)), material.annotated.language)
    return Card(question, answer.text, TextSpan(sentence.start, sentence.end), answer.label)


# Quiz


def quiz(material: Material, most: int) -> list[tuple[Card, list[str]]]:
    """Return cards with options in alphabetical order: the answer, and other values of its kind from the text."""
    pool = cards(material, 4 * most)
    made = [(card, _options(material, card, pool)) for card in pool]
    return [(card, options) for card, options in made if len(options) >= OPTIONS - 1][:most]


def _options(material: Material, card: Card, pool: Iterable[Card]) -> list[str]:
    if card.kind == "definition":
        others = [other.answer for other in pool if other.kind == "definition"]
    elif card.kind == "phrase":
        others = [phrase.text for phrase in material.phrases]
    else:
        others = [one.text for one in material.annotated.named if one.label == card.kind]
    answer = card.answer.lower()
    apart = [one for one in dict.fromkeys(others) if answer not in one.lower() and one.lower() not in answer]
    said = {one for one in apart if one.lower() in card.question.lower()}  # the question names them
    return sorted([card.answer, *[one for one in apart if one not in said][: OPTIONS - 1]], key=str.lower)
