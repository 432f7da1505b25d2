"""Answer questions without a language model: quote the closest places of the text, or refuse."""

from __future__ import annotations

from stt_lab.writing.answerability import signs
from stt_lab.writing.quotes import QuoteCandidate, places
from stt_lab.writing.source_text import SourceText
from stt_lab.writing.tools import Tools
from stt_lab.writing.values import EXTRACTIVE, Answer, Question

QUOTES = 3
NEXT = 0.7  # least score of a further quote, as a share of the best score
SAID_SO = "No language model checked whether this answers the question. Closest passages in the transcript:"
REFUSED = "This transcript does not seem to answer that. No language model was used."


def answer(tools: Tools, source: SourceText, question: Question) -> Answer:
    """Quote the closest places with speaker and time, or say that the text has no answer."""
    found = places(tools, source, question)
    if not found or signs(tools, source, question, found).missing:
        return Answer(REFUSED, False, EXTRACTIVE, ())
    chosen = [place for place in found if place.score >= NEXT * found[0].score][:QUOTES]
    quotes = "\n\n".join(_quote(source, place) for place in chosen)
    return Answer(f"{SAID_SO}\n\n{quotes}", True, EXTRACTIVE, tuple(place.span for place in chosen))


def _quote(source: SourceText, place: QuoteCandidate) -> str:
    first = place.parts[0]
    who = " and ".join(dict.fromkeys(part.speaker for part in place.parts if part.speaker))
    minutes, seconds = divmod(int(first.begin), 60)
    when = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
    return f"“{' '.join(place.span.of(source.text).split())}” ({', '.join(filter(None, (who, when)))})"
