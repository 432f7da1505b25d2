"""What is made of a text, and can be checked against it: summaries, analyses, documents, answers.

script.py      the text, and where in a recording each part of it was said
values.py      what is made; everything carries the spans that it rests on
tools.py       the engines that read, as functions
writer.py      who writes, by name
extractive.py  the writer that needs no language model
generative.py  the writer that has one: scribe.py puts it to work, prompts.py is what it is asked, findings.py what it
               finds, verify.py whether the text bears that out
reading.py     sentences, speakers, grammar and vectors of a text, each made when asked for
translation.py cutting.py checks.py languages.py   texts into other languages, piece by piece, each checked
ranking.py sections.py spoken.py   which sentences say most, where the subject changes, how people speak
summaries.py   sentences that stand for a text
analyses.py    what is in a text: moods.py phrases.py names.py questions.py, actions.py and dues.py by grammar.py
documents.py   templates/ as data, material.py that they are made of, blocks.py and cards.py that write it down
redaction.py hearing.py sound.py   personal data taken out, of recordings too
passages.py    stretches of a transcript, and which of them a question is about
answers.py evidence.py   the nearest places, quoted; whether they can answer
"""
