"""Analyze clauses of English: who will, should or did do what. Pure, on the tokens of a parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stt_lab.cached import cached
from stt_lab.types import TextSpan, Token
from stt_lab.writing.english import words

CARRIERS = frozenset(["ROOT", "conj", "ccomp", "advcl", "parataxis", "relcl", "acl", "dep", "pcomp", "appos"])
SUBJECTS = ("nsubj", "nsubjpass")
WRITTEN = {"'ll": "will", "’ll": "will", "wo": "will", "'d": "would", "’d": "would", "ca": "can", "sha": "shall"}
APART = frozenset(
    ["conj", "parataxis", "cc", "relcl", "intj", "discourse", "npadvmod", "dep"]
)  # relations of other clauses and interjections
SEMI, WISHES, CONDITIONS, MODALS, LIMITS = (
    words("grammar", name) for name in ("semi", "wishes", "conditions", "modals", "limits")
)


@dataclass(frozen=True)
class Clause:
    """A clause; all positions count the parser's tokens."""

    verb: int  # the action
    head: int  # the main verb: "going" in "is going to call", otherwise the same
    subject: int | None
    modal: str  # "will", "should", "go", "need", "have" ...; "wish" (somebody should do it); "to"; "" for none
    negated: bool
    passive: bool
    condition: str  # "if", "when", "because" ... before the clause, otherwise ""


class Grammar:
    """The clauses of a text."""

    def __init__(self, text: str, tokens: tuple[Token, ...]) -> None:
        self.text, self.tokens = text, tokens

    @cached
    def children(self) -> list[list[int]]:
        made: list[list[int]] = [[] for _ in self.tokens]
        for place, token in enumerate(self.tokens):
            if token.head != place:
                made[token.head].append(place)
        return made

    def word(self, place: int) -> str:
        return self.tokens[place].of(self.text).lower()

    def lemma(self, place: int) -> str:
        return WRITTEN.get(self.word(place), self.tokens[place].lemma.lower())

    def under(self, place: int, *relations: str) -> list[int]:
        """Return the direct dependents of a token that have one of these relations."""
        return [child for child in self.children[place] if self.tokens[child].dep in relations]

    def subtree(self, place: int) -> Iterator[int]:
        """Yield a token and everything that depends on it, in no order."""
        waiting = [place]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += self.children[one]

    def clauses(self, first: int, last: int) -> Iterator[Clause]:
        """Yield the clauses whose main verb lies between the positions `first` (inclusive) and `last` (exclusive)."""
        for place in range(first, last):
            token = self.tokens[place]
            if token.pos in ("VERB", "AUX") and token.dep in CARRIERS and not self._goes_on(place):
                yield self._clause(place)

    def _goes_on(self, head: int) -> bool:
        """Return whether a verb takes its subject from an earlier verb: "I'll ask him and send it" is one clause."""
        token = self.tokens[head]
        alone = not self.under(head, *SUBJECTS, "aux")
        return token.dep == "conj" and alone and token.head < head and self.tokens[token.head].pos == "VERB"

    def _clause(self, head: int) -> Clause:
        verb = self._deed(head)
        subject = next(iter(self.under(head, *SUBJECTS)), None)
        modal = self._modal(head)
        if verb != head and modal not in ("would", "past"):
            modal = "past" if self._over(head) else {"gon": "go", "get": "have"}.get(self.lemma(head), self.lemma(head))
        around = (*self.children[head], *self.children[verb])
        negated = any(self.tokens[one].dep == "neg" or self.word(one) == "never" for one in around)
        return Clause(verb, head, subject, modal, negated, bool(self.under(verb, "auxpass")), self._condition(head))

    def _modal(self, head: int) -> str:
        """Return the modality of a clause."""
        aux = [self.lemma(child) for child in self.under(head, "aux")]
        if any(self.tokens[child].tag == "VBD" and self.lemma(child) == "be" for child in self.under(head, "aux")):
            return "past"  # "I was going to"
        above = self.tokens[head].head
        own = bool(self.under(head, *SUBJECTS))
        if own and above < head and self.lemma(above) in WISHES and (aux == ["to"] or self._lets(above)):
            return "wish"  # "I'd like you to send", "let's send", "let's have Ada send"
        if own and aux == ["could"] and self._condition(head) == "if":
            return "wish"  # "it would be great if you could"
        if any(self.word(child) == "better" and child < head for child in self.children[head]):
            return "should"  # "you'd better"
        return next(
            (one for one in aux if one in MODALS), "be" if aux == ["be"] and self.tokens[head].tag == "VBG" else ""
        )

    def _over(self, head: int) -> bool:
        """Return whether a duty is past ("had to"); an agreement stays valid."""
        return self.tokens[head].tag == "VBD" and self.lemma(head) not in ("agree", "promise", "volunteer", "plan")

    def _lets(self, place: int) -> bool:
        """Return whether a verb is "let", or "have" below it."""
        return "let" in (self.lemma(place), self.lemma(self.tokens[place].head) if self.lemma(place) == "have" else "")

    def _deed(self, head: int) -> int:
        """Return the main action, behind verbs that only say that it will be done."""
        if self.lemma(head) not in SEMI and self.word(head) != "got":
            return head
        for child in self.under(head, "xcomp"):
            if any(self.word(one) in ("to", "na", "ta") for one in self.under(child, "aux")):
                return child
        return head

    def _condition(self, head: int) -> str:
        before = (child for child in self.under(head, "mark", "advmod") if child < head)
        return next((self.word(child) for child in before if self.word(child) in CONDITIONS), "")

    def span(self, clause: Clause) -> TextSpan:
        """Return the words of a clause, without other clauses before and after it."""
        kept = set(self.subtree(clause.head))
        for child in (*self.children[clause.head], *self.children[clause.verb]):
            if self._apart(child, clause):
                kept.difference_update(self.subtree(child))
        first = min(self._opening(clause.head, clause) & kept, default=clause.head)
        if clause.modal == "wish" and (above := self.tokens[clause.head].head) < first:
            first = min(self._opening(above))
        last = max(clause.verb, clause.head)
        while last + 1 in kept:
            last += 1
        while last > clause.verb and not any(map(str.isalnum, self.word(last))):
            last -= 1
        return TextSpan(self.tokens[first].start, self.tokens[last].end)

    def _opening(self, head: int, clause: Clause | None = None) -> set[int]:
        """Return the positions where a clause may begin."""
        made = {head, clause.verb if clause else head, *self.under(head, "aux", "auxpass", "neg")}
        for subject in self.under(head, *SUBJECTS):
            made |= set(self.subtree(subject))
        return made

    def _apart(self, child: int, clause: Clause) -> bool:
        token = self.tokens[child]
        if child == clause.verb or child == clause.subject:
            return False
        if token.dep == "advcl":
            marks = {self.word(one) for one in self.under(child, "mark", "advmod")}
            return not (child > clause.verb and marks & LIMITS)
        if token.dep == "npadvmod":
            return child < clause.head  # "Anna, please send"; after the verb it is a time, "this evening"
        if token.dep == "ccomp":
            return child < clause.head
        if token.dep == "cc" or (token.dep == "conj" and self._goes_on(child)):
            return not any(self._goes_on(one) for one in self.under(token.head, "conj"))
        return token.dep in APART
