"""The Text tab: a transcript of the library, or a pasted text, and what is made of it.

tab.py         the components and what they do
visit.py       a press of a button, and who pressed
library.py     the visitor's transcripts, to choose from
source.py      what is worked on, and where a citation of it leads
tasks.py       what can be done: operations and controls; asking.py and redacting.py for what is more than that
html.py        the text with its player, and citations that lead into it
prose.py       running text with citations where what they cite is said
results.py     summaries, translations and conversations; documents.py, analysis.py and sentiment.py the others
wire.py        answers of operations as the JSON that HTTP gives
"""
