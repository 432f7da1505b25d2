"""Questions to learn with: what something is said to be, who and how much was said; each answer is in the text."""

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
    """Written ones, definitions, then gaps in what says most; no sentence and no answer twice, in order."""
    chosen: list[Card] = []
    for card in chain(material.cards(most), definitions(material), gaps(material)):
        if len(chosen) >= most:
            break
        if not any(card.span == other.span or card.answer.lower() == other.answer.lower() for other in chosen):
            chosen.append(card)
    return sorted(chosen, key=lambda card: card.span.start)


# What something is


def definitions(material: Material) -> list[Card]:
    """ "A puck is a sensor that sticks to the wall.": what is a puck?"""
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
    """Term, meaning and the term's label."""
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
    """The nouns before and behind an "is" that says what something is; else None."""
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
    """The words of a subject, an article in front of them in small letters."""
    whole = sorted(grammar.subtree(subject))
    said = " ".join(grammar.text[grammar.tokens[whole[0]].start : grammar.tokens[whole[-1]].end].split())
    return said[0].lower() + said[1:] if grammar.word(whole[0]) in ARTICLES else said


# Gaps


def gaps(material: Material) -> Iterator[Card]:
    """The sentences that say most, each without a name or an amount in it, or without what the text is about."""
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
    """Fit to be a question: best first."""
    sentences = material.annotated.sentences
    order = sorted(range(len(sentences)), key=lambda place: (-material.scores[place], place))
    return [
        sentences[place]
        for place in order
        if LEAST <= words(sentences[place].text) <= MOST
        and not sentences[place].text.rstrip().endswith("?")
        and not addresses(sentences[place].text)  # with a gap it would be another one
    ]


def _rarest(material: Material, named: Iterable[Entity]) -> Entity:
    """What is named least often, so that no other sentence gives it away."""
    text = material.annotated.text
    return min(named, key=lambda one: (text.count(one.text), one.start))


def _gap(material: Material, sentence: Sentence, answer: Entity) -> Card:
    before, behind = sentence.text[: answer.start - sentence.start], sentence.text[answer.end - sentence.start :]
    again = re.compile(rf"(?<!\w){re.escape(answer.text)}(?!\w)")
    question = cleaned(BLANK.join(again.sub(BLANK, part) for part in (before, behind)), material.annotated.language)
    return Card(question, answer.text, TextSpan(sentence.start, sentence.end), answer.label)


# Quiz


def quiz(material: Material, most: int) -> list[tuple[Card, list[str]]]:
    """Cards with options: the answer among others of its kind in the text, in the order of the alphabet."""
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
    said = {one for one in apart if one.lower() in card.question.lower()}  # would be given away
    return sorted([card.answer, *[one for one in apart if one not in said][: OPTIONS - 1]], key=str.lower)
