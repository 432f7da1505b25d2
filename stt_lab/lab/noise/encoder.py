"""A program that writes sound as codecs leave it, for `stt_lab.lab.noise.robustness`.

    python -P encoder.py < jobs.json

Jobs are a list of {"source", "target", "codec", "rate", "bit_rate"}: a WAV file of 16 bits, the file to write, whose
suffix names the container, the encoder as FFmpeg calls it, hertz, and bits a second. The same job gives the same bytes.
It is a process of its own because FFmpeg is loaded into no other; run by its path, it imports nothing of stt_lab.
"""

from __future__ import annotations

import json
import sys
import wave
from typing import Any

import av
import numpy as np

BLOCK = 16_000  # samples that are encoded at once
EXACT = {"fflags": "+bitexact"}  # no version of FFmpeg, no random serial number
OPTIONS = {"libopus": {"application": "voip"}}  # as calls and messengers have it


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
