"""Encode speech while it is made: the child program of `stt_lab.voice.encoding`.

    python -m stt_lab.voice.encoder MEMORY_MB

Messages are lines of JSON. First {"container", "codec", "bit_rate", "options", "tags", "rate"}; then {"pcm": 16-bit
mono PCM in base64}, answered by {"made": bytes in base64} with what is complete; at last {"end": true}, answered in the
same way. It is a separate program because FFmpeg is loaded into no process that serves requests.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import av
import numpy as np

from stt_lab.child import limit_memory


class Sink:
    """A file without seeking that keeps what was written until it is taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, content: bytes) -> int:
        self._held += content
        return len(content)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


class PieceEncoder:
    """An encoder whose output is read piece by piece."""

    def __init__(
        self, container: str, codec: str, bit_rate: int, options: dict[str, str], tags: dict[str, str], rate: int
    ) -> None:
        self._sink, self._rate = Sink(), rate
        self._file: Any = av.open(
            self._sink, "w", format=container, container_options=options | {"flush_packets": "1"}, buffer_size=4096
        )
        self._file.metadata.update(tags)
        self._stream: Any = self._file.add_stream(codec, rate=rate, layout="mono")
        if bit_rate:
            self._stream.bit_rate = bit_rate
        self._resampler: Any = None
        self._file.start_encoding()

    def push(self, pcm: bytes) -> bytes:
        """Encode 16-bit PCM. Return the bytes that are complete."""
        if self._resampler is None:  # an encoder knows the length of its frames once it is open
            format, size = self._stream.format.name, self._stream.codec_context.frame_size
            self._resampler = av.AudioResampler(format=format, layout="mono", rate=self._rate, frame_size=size)
        if pcm:
            frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[None], format="s16", layout="mono")
            frame.sample_rate = self._rate
            self._encode(self._resampler.resample(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """End the file. Return its last bytes."""
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            self._file.mux(self._stream.encode(frame))


def main() -> None:
    """Encode one file from stdin to stdout."""
    limit_memory(int(sys.argv[1]))
    encoder: PieceEncoder | None = None
    for line in sys.stdin:
        message = json.loads(line)
        if encoder is None:
            encoder = PieceEncoder(**message)
            continue
        made = encoder.finish() if message.get("end") else encoder.push(base64.b64decode(message["pcm"]))
        print(json.dumps({"made": base64.b64encode(made).decode("ascii")}), flush=True)


if __name__ == "__main__":
    main()
