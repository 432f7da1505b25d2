"""Media files that tests write."""

from __future__ import annotations

from typing import Any

import av
import numpy as np


def encode(
    target: Any, muxer: str, codec: str, rate: int, layout: str, sound: np.ndarray, video: str = "", **options: str
) -> None:
    """Write `sound` (channels, n), and beside it a dark video track of the codec `video`, to a path or file object."""
    with av.open(target, "w", format=muxer, options=options) as container:
        pictures = container.add_stream(video, rate=25, width=64, height=48, pix_fmt="yuv420p") if video else None
        track = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})  # for FFmpeg's Vorbis
        track.bit_rate = 128_000
        packed = np.ascontiguousarray(sound.T).reshape(1, -1)  # (1, n * channels)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        track.codec_context.open()
        size = track.codec_context.frame_size or 1024
        convert = av.AudioResampler(format=track.format, layout=layout, rate=rate, frame_size=size)
        for piece in [*convert.resample(frame), *convert.resample(None), None]:
            container.mux(track.encode(piece))
        if pictures:
            dark = np.zeros((48, 64, 3), np.uint8)
            for _ in range(round(25 * sound.shape[1] / rate)):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(dark)))
            container.mux(pictures.encode(None))
