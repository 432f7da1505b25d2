"""What is answered about a transcript."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatSource:
    """A segment of the transcript."""

    segment_order: int  # from 0
    segment_id: int
    text: str
    score: float  # how near its passage is to the question, 0 to 1
    start_time: float  # seconds


@dataclass(frozen=True)
class ChatAnswer:
    answer: str
    sources: tuple[ChatSource, ...]  # what the answer rests on, the best first; () when the transcript does not say it
    session_id: str  # send it with the next question, which may then refer to this one
    model: str  # who answered; "extractive": nobody, these are the transcript's own words
    found: bool  # whether the transcript answers it
    nearest: tuple[ChatSource, ...] = ()  # of a question that it does not answer
    warnings: tuple[str, ...] = ()
