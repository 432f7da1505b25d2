"""Voice: cleaner recordings, and speech in a voice.

speech.py        speak texts: languages, sentences, pauses
reading.py       write out numbers, dates and abbreviations
reference.py     check the reference of a voice
stock_voices.py  the stock voices by name
encoding.py      files of speech while it is made, by a child process
encoder.py       the child program: MP3, Opus and FLAC by FFmpeg
synthetic_wav.py WAV files that say that they are synthetic
enhancement.py   remove noise and set the loudness, in a child process with limits
enhancer.py      the child program: DeepFilterNet 3, loudness and limiter, block by block
deepfilter.py    DeepFilterNet's C runtime
levels.py        loudness (BS.1770) and a true-peak limiter, in blocks
resampling.py    change of sample rate in blocks, without delay
"""
