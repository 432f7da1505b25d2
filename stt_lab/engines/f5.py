"""F5-TTS: speech in the voice of a reference, copied from its sound and the words that are said in it.

Chen et al. 2024, "F5-TTS: A Fairytaler that Fakes Fluent and Faithful Speech with Flow Matching". A transformer goes on
with the reference's mel spectrogram along a text, and Vocos makes sound of it. The networks are the classes of the
package f5-tts (MIT); the weights are CC-BY-NC-4.0.
"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_lab.engines.pieces import joined, split
from stt_lab.engines.protocols import EngineSpec, SpokenSentence, Voice, VoiceCopy, VoiceMatch
from stt_lab.errors import ModelMissing
from stt_lab.types import SAMPLE_RATE, Event, silent

if TYPE_CHECKING:
    from stt_lab.engines.voice_print import VoiceEncoders
    from stt_lab.types import Audio, Report, Samples

NAME = "F5TTS_v1_Base"  # of the network's shape, and of the folder with its weights
WEIGHTS, VOCABULARY, VOCODER = f"{NAME}/model_1250000.safetensors", f"{NAME}/vocab.txt", "vocos-mel-24khz"
SHAPE = f"{NAME}.yaml"  # beside the weights for a model with another shape, else the package's
PREFIX = "ema_model."  # of the weights' names in the file: averages over the training
COUNTERS = ("initted", "step")  # of the training, in the same file
STEPS, GUIDANCE, SWAY = 32, 2.0, -1.0  # of the solver: the package's own values
LEVEL = 0.1  # root mean square to which a quieter reference is raised
TOGETHER_S = 22.0  # seconds of the reference and a piece, as the network was trained
SHORT, SHORT_PACE = 10, 0.3  # bytes of a text below which it gets more time, as the package has it
LEAST_BYTES = 20  # of a piece, however slowly the reference is spoken
SEED = 1  # the same request gets the same sound
PHRASE = "The quick brown fox jumps over the lazy dog, while others walk slowly home."  # by which a copy is measured


class F5Speaker:
    """A `Speaker`."""

    languages = ("en", "zh")

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self._network: Any = None
        self._vocoder: Any = None
        self._encoders: VoiceEncoders | None = None
        self._now = threading.local()  # the report of the call in each thread: calls take turns inside the network
        self.rate, self._hop = 24_000, 256

    def load(self) -> None:
        """Read the weights. Raises ModelMissing if files are missing or damaged."""
        import torch
        from safetensors import SafetensorError

        torch.set_num_threads(self.spec.threads)
        try:
            with quiet():
                self._vocoder = vocoder(dict(self.spec.extra)[VOCODER]).to(self.spec.device)
                network, mel = self._build()
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as problem:
            raise ModelMissing(
                f"The weights of {self.spec.model} are missing or damaged. Pull the model again."
            ) from problem
        self.rate, self._hop = mel["target_sample_rate"], mel["hop_length"]
        network.transformer.register_forward_pre_hook(self._step)
        half = self.spec.device != "cpu"  # as the package does
        self._network = network.to(self.spec.device, torch.float16 if half else torch.float32).eval()

    def unload(self) -> None:
        self._network = self._vocoder = self._encoders = None

    def voices(self) -> tuple[str, ...]:
        return ()

    def match(self, audio: Audio, report: Report, copy: VoiceCopy | None = None) -> VoiceMatch:
        """Return the copy, and how similar a phrase that it speaks is to the reference."""
        from scipy.signal import resample_poly

        from stt_lab.engines.voice_match import checked
        from stt_lab.engines.voice_print import VoiceEncoders

        assert copy is not None
        report(Event("checking", 0.0))
        if self._encoders is None:
            folders = dict(self.spec.extra)
            self._encoders = VoiceEncoders(folders["campplus"], folders["dvector"])
        wanted = self._encoders.print_of(checked(audio, self._encoders))
        made = self.speak(PHRASE, "en", copy, 1.0, lambda event: report(Event("checking", event.fraction)))
        if not len(made.samples):
            return VoiceMatch(copy, 0.0)
        sound = resample_poly(made.samples, SAMPLE_RATE, made.sample_rate).astype(np.float32)
        return VoiceMatch(copy, float(np.mean(self._encoders.print_of(sound).similarities(wanted))))

    def speak(self, text: str, language: str, voice: Voice, speed: float, report: Report) -> SpokenSentence:
        assert isinstance(voice, VoiceCopy)
        if self._network is None:
            self.load()
        sounds: list[Samples] = []
        pieces = list(split(text, longest(voice, text, speed)))
        for number, piece in enumerate(pieces):
            self._now.report, self._now.done, self._now.steps = report, number * STEPS, len(pieces) * STEPS
            sounds.append(self._say(piece, voice, speed))
        return SpokenSentence(joined(sounds, self.rate), self.rate)

    def _say(self, text: str, voice: VoiceCopy, speed: float) -> Samples:
        import torch
        from f5_tts.model.utils import convert_char_to_pinyin

        sound = self._sound(voice)
        level = max(float(np.sqrt(np.square(sound).mean())), 1e-6)
        raised = torch.from_numpy(sound * max(1.0, LEVEL / level))[None].to(self.spec.device)
        words = ended(voice.words)
        pace = speed * (SHORT_PACE if size(text) < SHORT else 1.0)
        own = len(sound) // self._hop  # frames of the reference
        frames = own + int(own / size(words) * size(text) / pace)
        how = {"steps": STEPS, "cfg_strength": GUIDANCE, "sway_sampling_coef": SWAY, "seed": SEED}
        try:
            made, _ = self._network.sample(raised, convert_char_to_pinyin([words + text]), frames, **how)
        finally:
            self._network.transformer.clear_cache()  # else a cancelled call leaves its text to the next one
        with torch.inference_mode():
            spoken = self._vocoder.decode(made[:, own:].float().permute(0, 2, 1))[0].cpu().numpy()
        quieter: Samples = (spoken * min(1.0, level / LEVEL)).astype(np.float32)
        return np.clip(quieter, -1.0, 1.0)

    def _sound(self, voice: VoiceCopy) -> Samples:
        from scipy.signal import resample_poly

        if voice.sample_rate == self.rate:
            return voice.sound
        made: Samples = resample_poly(voice.sound, self.rate, voice.sample_rate).astype(np.float32)
        return made

    def _step(self, *unused: Any) -> None:
        """Report at each step of the solver, so that a call can be cancelled, and others take their turn."""
        done, steps = getattr(self._now, "done", 0), getattr(self._now, "steps", 1)
        getattr(self._now, "report", silent)(Event("speaking", min(1.0, done / steps)))
        self._now.done = done + 1

    def _build(self) -> tuple[Any, dict[str, Any]]:
        """Return the network with its weights, and the shape of its mel spectrograms."""
        import yaml
        from f5_tts.model import CFM, DiT
        from f5_tts.model.utils import get_tokenizer
        from safetensors.torch import load_file

        shape = yaml.safe_load(shape_file(self.spec.folder).read_text("utf-8"))["model"]
        characters, count = get_tokenizer(str(self.spec.folder / VOCABULARY), "custom")
        mel: dict[str, Any] = shape["mel_spec"]
        body = DiT(**shape["arch"], text_num_embeds=count, mel_dim=mel["n_mel_channels"])
        solver = {"method": "euler"}
        network = CFM(body, odeint_kwargs=solver, mel_spec_kwargs=mel, vocab_char_map=characters)
        found = load_file(self.spec.folder / WEIGHTS)
        network.load_state_dict(
            {name.removeprefix(PREFIX): value for name, value in found.items() if name not in COUNTERS}
        )
        return network, mel


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of the libraries about what they use of torch themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def shape_file(folder: Path) -> Path:
    """Return the file that describes the network's shape: the package's, unless one is beside the weights."""
    own = folder / NAME / SHAPE
    spec = importlib.util.find_spec("f5_tts")
    places = spec.submodule_search_locations if spec else None
    return own if own.is_file() or not places else Path(next(iter(places))) / "configs" / SHAPE


def vocoder(folder: Path) -> Any:
    """Read Vocos from the two files of its repository."""
    import torch
    from vocos import Vocos

    made = Vocos.from_hparams(str(folder / "config.yaml"))
    made.load_state_dict(torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True))
    return made.eval()


def ended(words: str) -> str:
    """Return the words of a reference with an end and a space, as the network expects them before a text."""
    words = words.strip()
    words = words if words.endswith((".", "!", "?", "。", "！", "？")) else f"{words}."
    return f"{words} " if words.isascii() or words[-1] in ".!?" else words


def size(text: str) -> int:
    """Return the bytes of a text, by which the network's authors measure how long it takes to say."""
    return max(1, len(text.encode()))


def longest(voice: VoiceCopy, text: str, speed: float) -> int:
    """Return how many characters fit into one piece, so that it and the reference last as long as in training."""
    seconds = len(voice.sound) / voice.sample_rate
    fit = size(voice.words) / seconds * max(1.0, TOGETHER_S - seconds) * speed
    return max(1, int(max(fit, LEAST_BYTES) * len(text) / size(text)))
