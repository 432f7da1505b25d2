"""Systems under test: our engines, external programs in child processes, and services behind a URL."""

from __future__ import annotations

from stt_lab.lab.runs.systems.child import FasterWhisper, OpenAiWhisper, Pyannote, WhisperCpp, WhisperX
from stt_lab.lab.runs.systems.live import LiveConfig
from stt_lab.lab.runs.systems.live_web import LiveService
from stt_lab.lab.runs.systems.live_whisperlivekit import WhisperLiveKit
from stt_lab.lab.runs.systems.ours import OwnConfig
from stt_lab.lab.runs.systems.protocol import SystemConfig
from stt_lab.lab.runs.systems.web import OpenAiService, SttService

KINDS: dict[str, type[SystemConfig]] = {  # `engine` in suites.toml -> its config
    "stt_lab": OwnConfig,
    "faster-whisper": FasterWhisper,
    "openai-whisper": OpenAiWhisper,
    "whisper.cpp": WhisperCpp,
    "whisperx": WhisperX,
    "pyannote": Pyannote,
    "openai-api": OpenAiService,
    "stt-api": SttService,
    "stt_lab-live": LiveConfig,
    "stt-live": LiveService,
    "whisperlivekit": WhisperLiveKit,
}
