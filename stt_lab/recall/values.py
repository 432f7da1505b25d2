"""Answers about a transcript."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatSource:
    """A segment that supports an answer."""

    segment_order: int  # from 0
    segment_id: int
    text: str
    score: float  # closeness of its passage to the question, 0 to 1
    start_time: float  # seconds


@dataclass(frozen=True)
class ChatAnswer:
    """An answer to a question about a transcript."""

    answer: str
    sources: tuple[ChatSource, ...]  # segments that support the answer, best first; () if there is none
    session_id: str  # send it with a follow-up question
    model: str  # id of the model; "extractive": quotes, no language model
    found: bool  # the transcript answers the question
    nearest: tuple[ChatSource, ...] = ()  # closest segments, if `found` is false
    warnings: tuple[str, ...] = ()
