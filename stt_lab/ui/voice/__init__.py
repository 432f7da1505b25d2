"""The Voice tab: cleaner recordings, and speech in a voice like that of a recording.

tab.py       the tab: a gate for visitors without a key, and its two parts
part.py      what both parts share: the recording, progress, cancel
enhance.py   clean a recording, and compare it with the original
speak.py     speak a text in a voice
pictures.py  waveforms and spectrograms
html.py      results as HTML
"""

from stt_lab.ui.voice.tab import VoiceTab

__all__ = ["VoiceTab"]
