"""Find action items in English sentences: who will do what, by when.

Each clause that may be an action item gets points for its form (a promise, a request, "must"), for a deadline and for a
concrete task. It loses points for words that only resemble a promise ("I'll be honest", "I'd say"). From LIKELY points
on it counts as an action item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from stt_lab.types import TextSpan
from stt_lab.writing.annotated_text import AnnotatedText, Sentence
from stt_lab.writing.deadlines import due
from stt_lab.writing.english import words
from stt_lab.writing.grammar import Clause, Grammar

LIKELY = 0.95
MARKED = re.compile(
    r"^\W*(?:action items?|to-?do|task|next steps?|follow-?up)\s*(?::|-|–|—)\s*|^\W*\[ ?\]\s*", re.IGNORECASE
)

DUTY = frozenset(["must", "should", "need", "have", "will", "shall", "go", "suppose", "agree", "promise", "volunteer"])
PROMISE = DUTY | {"plan"}
ASKED = frozenset(["can", "could", "will", "would"])
DOABLE, EMPTY, VAGUE, HANDY, TOLD = (words("actions", name) for name in ("doable", "empty", "vague", "handy", "told"))
SMALL, NOBODY, SOMEBODY, ANYBODY = (words("actions", name) for name in ("small", "nobody", "somebody", "anybody"))
TRADE = re.compile(r"(?:team|group|department|committee|council|board|staff|office|\w\w(?:er|or|ist|ant|man|woman))$")


@dataclass(frozen=True)
class Action:
    """An action item."""

    text: str  # verbatim
    owner: str | None
    due: str | None
    span: TextSpan


def actions(annotated: AnnotatedText) -> tuple[Action, ...]:
    """Return the action items in the order of the text. The text must be parsed."""
    grammar = Grammar(annotated.text, annotated.parsed.tokens)
    return tuple(action for sentence in annotated.sentences for action in _Said(annotated, grammar, sentence).actions())


class _Said:
    """One sentence with everything needed to find its action items."""

    def __init__(self, annotated: AnnotatedText, grammar: Grammar, sentence: Sentence) -> None:
        self.annotated, self.grammar, self.sentence = annotated, grammar, sentence
        self.first, self.last = annotated.places(sentence)
        self.entities = annotated.entities(sentence)
        self.asks = sentence.text.rstrip("\"'”’) ").endswith("?")

    def actions(self) -> Iterator[Action]:
        marked = MARKED.match(self.sentence.text)
        if marked and marked.end() < len(self.sentence.text):
            yield self._made(TextSpan(self.sentence.start + marked.end(), self.sentence.end), self._named())
            return
        end = 0
        for clause in self.grammar.clauses(self.first, self.last):
            span = self.grammar.span(clause)
            if span.start >= end and self._points(clause, span) >= LIKELY:
                yield self._made(span, self._owner(clause))
                end = span.end

    def _made(self, span: TextSpan, owner: str | None) -> Action:
        span = _trimmed(self.annotated.text, span)
        when = self._due(span)
        return Action(span.of(self.annotated.text), owner, when.of(self.annotated.text) if when else None, span)

    def _due(self, span: TextSpan) -> TextSpan | None:
        return due(self.annotated.text, span, self.entities)

    # Points

    def _points(self, clause: Clause, span: TextSpan) -> float:
        points = self._manner(clause)
        if points == 0:
            return 0.0
        when = bool(self._due(span))
        lemmas, objects = set(map(self._lemma, self._deeds(clause))), self._objects(clause)
        concrete = bool(objects - SMALL)
        points += 0.7 * when + 0.3 * bool(lemmas & DOABLE) + (0.2 if concrete else 0.1 * bool(objects))
        points -= 1.0 * (lemmas <= EMPTY) + 1.0 * clause.negated
        points -= 0.4 * (lemmas <= VAGUE or (lemmas <= HANDY and not concrete and not when))
        points -= 0.4 * (not when and bool(objects) and objects <= {"that", "this"})
        points -= 0.4 * (not when and "you" in objects and bool(lemmas & TOLD))  # "I have to ask you" is done at once
        points -= 0.8 * (clause.condition not in ("", "because") and clause.modal != "wish")
        return points

    def _deeds(self, clause: Clause) -> list[int]:
        """Return the verbs that say what is done, one after the other."""
        more = self.grammar.under(clause.verb, "conj")
        return [clause.verb, *(one for one in more if self.grammar.tokens[one].pos == "VERB")]

    def _lemma(self, place: int) -> str:
        back = any(self.grammar.word(one) == "back" for one in self.grammar.children[place])
        return self.grammar.lemma(place) + "_back" * back

    def _objects(self, clause: Clause) -> set[str]:
        found = self.grammar.under(clause.verb, "dobj", "dative", "nsubjpass")
        return {self.grammar.word(one) for one in found if self.grammar.tokens[one].pos != "ADP"}

    def _manner(self, clause: Clause) -> float:
        """Return the points for the form of a clause; 0 for neither promise nor request nor duty."""
        if clause.subject is None:
            return self._imperative(clause)
        who = self.grammar.word(clause.subject)
        if clause.modal == "wish":
            return {"you": 0.9, "us": 0.6, "'s": 0.6, "’s": 0.6, "me": 0.2}.get(who, 0.0 if who in NOBODY else 0.7)
        if clause.modal == "past" or (who in NOBODY and not (clause.passive and clause.modal in DUTY)):
            return 0.0
        if self.asks:
            return self._request(clause, who)
        if who in ("i", "we"):
            return self._promise(clause, who)
        if clause.modal not in DUTY:
            return 0.0
        return self._duty(clause, who)

    def _duty(self, clause: Clause, who: str) -> float:
        if (
            clause.modal in ("will", "go") and not clause.passive and who not in SOMEBODY
        ):  # a prediction, for most subjects
            return 0.4 if who in ("he", "she", "they", "you") else 0.6 if self._third(clause.subject or 0) else 0.2
        if who in SOMEBODY:
            return 1.0
        return 0.4 if who == "you" or clause.modal == "should" else 0.7

    def _request(self, clause: Clause, who: str) -> float:
        """ "Could you send it?" is a request, "Will they send it?" is not."""
        inverted = any(one < (clause.subject or 0) for one in self.grammar.under(clause.head, "aux"))
        if not inverted or clause.modal not in ASKED:
            return 0.0
        somebody = who == "you" or who in SOMEBODY or self._third(clause.subject or 0) is not None
        return 0.4 if who == "we" else 0.7 * somebody

    def _promise(self, clause: Clause, who: str) -> float:
        if clause.modal in PROMISE:
            wills = 0.85 if who == "i" else 0.7  # "we will" often only announces what comes next
            return {"will": wills, "go": wills, "promise": 0.9, "should": 0.4}.get(clause.modal, 0.65)
        if clause.verb == clause.head and self.grammar.lemma(clause.head) in ("need", "want", "like"):
            wanted = any(self.grammar.word(one) == "from" for one in self.grammar.subtree(clause.head))
            return 1.1 if wanted else 0.8
        return {"be": 0.4, "can": 0.4}.get(clause.modal, 0.0)

    def _imperative(self, clause: Clause) -> float:
        token = self.grammar.tokens[clause.head]
        if clause.modal == "to" and token.head == self.first and self.grammar.tokens[self.first].pos == "PROPN":
            return 0.9  # "Ada to write the minutes"
        if clause.modal in ("remember", "forget") and token.tag == "VB":
            return 1.0 + 1.0 * clause.negated * (clause.modal == "forget")
        if token.tag != "VB" or clause.modal or token.dep not in ("ROOT", "conj", "ccomp", "parataxis") or self.asks:
            return 0.0
        said = {self.grammar.word(one) for one in self.grammar.children[clause.head]}
        return 0.4 + 0.4 * ("please" in said) + 0.4 * (self._called() is not None)

    # Owner

    def _owner(self, clause: Clause) -> str | None:
        subject = clause.subject
        if subject is None and clause.modal == "to":
            return self._third(self.first)
        if subject is None:
            return self._called() or self._addressee()
        who = self.grammar.word(subject)
        wanted = who == "i" and self.grammar.lemma(clause.verb) == "need"  # "I need it from you"
        if who == "you" or wanted:
            return self._called() or self._addressee()
        if who == "i":
            return self.sentence.speaker
        return None if who in ANYBODY or clause.passive else self._third(subject)

    def _third(self, subject: int) -> str | None:
        token = self.grammar.tokens[subject]
        if token.pos == "PROPN":
            place = self.grammar.tokens[subject].start
            named = next((one for one in self.entities if one.start <= place < one.end), None)
            return self._speaker(named.text) if named else self._speaker(token.of(self.annotated.text))
        if token.pos == "NOUN" and TRADE.search(token.lemma):
            tree = sorted(self.grammar.subtree(subject))
            kept = list(takewhile(lambda place: place <= subject, tree))
            return self.annotated.text[self.grammar.tokens[kept[0]].start : token.end]
        return None

    def _named(self) -> str | None:
        """Return the first name in a sentence that is marked as an action item."""
        names = (place for place in range(self.first, self.last) if self.grammar.tokens[place].pos == "PROPN")
        return next((self._third(place) for place in names), self.sentence.speaker)

    def _speaker(self, name: str) -> str:
        """Return a speaker's full name if only a part of it was said."""
        same = [one for one in self.annotated.speakers if name.lower() in (one.lower(), *one.lower().split())]
        return same[0] if len(same) == 1 else name

    def _called(self) -> str | None:
        """Return the person who is addressed by name: at the beginning or the end, between commas."""
        tokens = self.grammar.tokens
        for place in range(self.first, self.last):
            if tokens[place].pos != "PROPN" or tokens[place].dep in ("nsubj", "dobj", "pobj", "poss", "compound"):
                continue
            before = self.grammar.word(place - 1) if place > self.first else ","
            behind = self.grammar.word(place + 1) if place + 1 < self.last else "."
            if before in (",", "and", "so", "okay", "ok", "thanks", "then") and behind in (",", ".", "?", "!", ":"):
                return self._speaker(tokens[place].of(self.annotated.text))
        return None

    def _addressee(self) -> str | None:
        """Return the person spoken to: the other of two speakers, otherwise the next to speak, or the previous one at
        the end."""
        mine = self.sentence.speaker
        others = [name for name in self.annotated.speakers if name != mine]
        if mine is None or len(others) < 2:
            return others[0] if mine and others else None
        place = self.sentence.number
        behind = (one.speaker for one in self.annotated.sentences[place:] if one.speaker != mine)
        before = (one.speaker for one in self.annotated.sentences[place::-1] if one.speaker != mine)
        return next(behind, None) or next(before, None)


def _trimmed(text: str, span: TextSpan) -> TextSpan:
    """Remove punctuation at the end of a span."""
    return TextSpan(span.start, span.start + len(span.of(text).rstrip(" .,;:!?")))
