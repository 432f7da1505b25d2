"""Embed voices with CAM++: 80-bin filter banks to one vector of 192 numbers per voice.

The architecture is that of Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking" (Interspeech 2023); module names follow the checkpoint of 3D-Speaker (Apache-2.0), so that its
state dict loads strictly. A convolutional front end models frequency, a densely connected TDNN models time, and every
TDNN layer is masked by the mean of its context, so the input must contain one voice only.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
import torchaudio.compliance.kaldi as kaldi
from pyannote.audio import Model
from torch import Tensor, nn

from stt_lab.types import SAMPLE_RATE

CHECKPOINT = "campplus_cn_en_common.pt"
DIMENSION = 192
MELS = 80
FRAME_LENGTH, FRAME_SHIFT = 400, 160  # samples: 25 and 10 ms
GROWTH = 32  # channels that a dense layer adds
BOTTLENECK = 128  # channels inside a dense layer
MIN_FRAMES = 15  # least filter banks for an embedding
CONTEXT = 100  # frames of local context of a mask, besides the mean of all
BLOCKS = ((12, 1), (24, 2), (16, 2))  # dense layers and their dilation


def fbank(samples: Tensor) -> Tensor:
    """Compute log-mel energies like Kaldi: (samples,) at 16 kHz to (frames, 80), a frame every 10 ms."""
    if samples.numel() < FRAME_LENGTH:
        samples = F.pad(samples, (0, FRAME_LENGTH - samples.numel()))
    return cast(Tensor, kaldi.fbank(samples[None], num_mel_bins=MELS, sample_frequency=SAMPLE_RATE, dither=0.0))


def _norm(channels: int, *, relu: bool = True, affine: bool = True) -> nn.Sequential:
    """Batch normalisation, named as in the checkpoint, followed by a rectifier."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(batchnorm=nn.BatchNorm1d(channels, affine=affine))
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; `stride` halves frequency, never time."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class _Head(nn.Module):
    """(batch, 80, frames) to (batch, 320, frames): 32 channels x 10 bands."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.layer2 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x[:, None])))
        x = self.layer2(self.layer1(x))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


class _Mask(nn.Module):
    """A dilated convolution whose output is weighted by the local and the global context."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(BOTTLENECK, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK // 2, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = F.avg_pool1d(x, CONTEXT, CONTEXT, ceil_mode=True)  # (batch, channels, frames / 100)
        weights = torch.sigmoid(self.linear2(F.relu(self.linear1(near + x.mean(-1, keepdim=True)))))
        return cast(Tensor, self.linear_local(x) * weights.repeat_interleave(CONTEXT, dim=-1)[..., : x.shape[-1]])


class _Dense(nn.Module):
    """A layer of a dense block, which appends its output to its input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm(channels)
        self.linear1 = nn.Conv1d(channels, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _norm(BOTTLENECK)
        self.cam_layer = _Mask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.nonlinear2(self.linear1(self.nonlinear1(x)))
        return torch.cat((x, self.cam_layer(inner)), dim=1)


class _Named(nn.Sequential):
    """A convolution and its normalisation, in either order, named as in the checkpoint."""

    def __init__(self, *, linear: nn.Module, nonlinear: nn.Module, norm_first: bool) -> None:
        pair = [("linear", linear), ("nonlinear", nonlinear)]
        super().__init__(OrderedDict(reversed(pair) if norm_first else pair))


class _Statistics(nn.Module):
    """Mean and standard deviation over time: (batch, 512, frames) to (batch, 1024, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x.mean(-1), x.std(-1)), dim=-1)[..., None]


def _xvector() -> nn.Sequential:
    """(batch, 320, frames) to (batch, 192, 1)."""
    channels = 128
    tdnn = nn.Conv1d(320, channels, 5, stride=2, padding=2, bias=False)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        tdnn=_Named(linear=tdnn, nonlinear=_norm(channels), norm_first=False)
    )
    for number, (depth, dilation) in enumerate(BLOCKS, 1):
        layers[f"block{number}"] = nn.Sequential(
            OrderedDict((f"tdnnd{i + 1}", _Dense(channels + i * GROWTH, dilation)) for i in range(depth))
        )
        channels += depth * GROWTH
        half = nn.Conv1d(channels, channels // 2, 1, bias=False)
        layers[f"transit{number}"] = _Named(linear=half, nonlinear=_norm(channels), norm_first=True)
        channels //= 2
    layers["out_nonlinear"] = _norm(channels)
    layers["stats"] = _Statistics()
    dense = nn.Conv1d(2 * channels, DIMENSION, 1, bias=False)
    last = _norm(DIMENSION, relu=False, affine=False)
    layers["dense"] = _Named(linear=dense, nonlinear=last, norm_first=False)
    return nn.Sequential(layers)


class CamPlusPlus(Model):  # type: ignore[misc]  # pyannote.audio is untyped
    """The network as a pyannote.audio embedding: waveforms and speaker masks to unit vectors."""

    def __init__(self) -> None:
        super().__init__(sample_rate=SAMPLE_RATE, num_channels=1)
        self.head = _Head()
        self.xvector = _xvector()

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def min_frames(self) -> int:
        return MIN_FRAMES

    def embed(self, features: Tensor) -> Tensor:
        """Embed filter banks of one voice (frames, 80), preferably a second or more, as a unit vector (192,)."""
        x = (features - features.mean(0)).T[None].to(self.device)  # (1, 80, frames)
        x = self.xvector(self.head(x))
        return F.normalize(x[0, :, 0], dim=0)

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """Embed waveforms (batch, 1, samples) where weights (batch, frames) exceed 0.5, as (batch, 192).

        Filter banks are computed before frames are chosen, so that no window spans a cut. NaN if no frame is chosen.
        """
        found = torch.full((len(waveforms), DIMENSION), torch.nan, device=waveforms.device)
        for row, waveform in enumerate(waveforms):
            features = fbank(waveform[0].cpu())
            if weights is not None:
                features = features[chosen(weights[row].cpu(), len(features))]
            if len(features) >= MIN_FRAMES:
                found[row] = self.embed(features)
        return found


def chosen(weights: Tensor, frames: int) -> Tensor:
    """Resample weights of a stretch of sound to a mask of `frames` frames."""
    return F.interpolate(weights[None, None].float(), size=frames, mode="nearest")[0, 0] > 0.5


def load_campplus(folder: Path) -> CamPlusPlus:
    """Load the network with the weights in `folder`.

    Raises FileNotFoundError without the checkpoint and RuntimeError if its names or shapes differ.
    """
    network = CamPlusPlus()
    network.load_state_dict(torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True), strict=True)
    network.eval()
    return network
