"""Encode WAV files with lossy codecs: a program for `stt_lab.lab.noise.robustness`.

    python -P encoder.py < jobs.json

Jobs are a list of {"source", "target", "codec", "rate", "bit_rate"}: a 16-bit WAV file, the file to write (its suffix
selects the container), FFmpeg's name of the encoder, Hz, and bit/s. The same job gives the same bytes. It is a separate
program because FFmpeg is loaded into no other process; run by its path, it imports nothing of stt_lab.
"""

from __future__ import annotations

import json
import sys
import wave
from typing import Any

import av
import numpy as np

BLOCK = 16_000  # samples per frame
EXACT = {"fflags": "+bitexact"}  # without FFmpeg's version and random serial numbers
OPTIONS = {"libopus": {"application": "voip"}}  # the mode of calls and messengers


def main() -> None:
    for job in json.load(sys.stdin):
        encode(**job)


def encode(source: str, target: str, codec: str, rate: int, bit_rate: int) -> None:
    with wave.open(source, "rb") as file:
        sound, from_rate = np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()
    with av.open(target, "w", container_options=EXACT) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono", options=OPTIONS.get(codec, {}))
        stream.bit_rate = bit_rate
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        for start in range(0, len(sound), BLOCK):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + BLOCK], format="s16", layout="mono")
            frame.sample_rate = from_rate
            for made in resampler.resample(frame):
                container.mux(stream.encode(made))
        for made in resampler.resample(None):
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
