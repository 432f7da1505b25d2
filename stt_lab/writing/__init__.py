"""Summaries, analyses, documents and answers about a text, each with the spans that support it.

source_text.py     the text, and where in a recording each segment was spoken
values.py          results; each carries its source spans
tools.py           the text engines as functions
annotated_text.py  sentences, speakers, grammar and vectors of a text, each computed on first use
writer.py          finds a writer by name
extractive.py      the writer that needs no language model
generative.py      the writer that uses one: prompts.py is what it is asked, llm_reader.py and llm_analyses.py read the
                   text with it, grounding.py drops statements that the text does not support
ranking.py sections.py fillers.py      central sentences, changes of subject, filler words
summaries.py       summaries
analyses.py        sentiment.py phrases.py names.py questions.py; actions.py and deadlines.py use grammar.py
documents.py       documents from templates/: material.py collects the content, blocks.py and cards.py write it
passages.py        overlapping passages of a transcript, and their ranking for a question
answers.py answerability.py            quoted passages, and whether they can answer the question
english.py         English word lists of english.toml
"""
