"""Whisper weights of CTranslate2 in the forms that other programs read: whisper.cpp's ggml and openai-whisper's pt.

    python eval/convert_ggml.py base tiny.en

Reads the folder of each model as `stt-lab models` finds it, writes models_dir/converted/ID.ggml and ID.pt. The weights
in that folder are those of openai/whisper in half precision, as its own files are: nothing is rounded, every program
reads the same numbers. The tensors are in the order of today's model code; whisper.cpp's own files have another one.
"""

from __future__ import annotations

import argparse
import base64
import os
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stt_lab.settings import get_settings
from stt_lab.weights import catalog

Arrays = dict[str, np.ndarray]

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}  # CTranslate2's DataType
MAGIC = 0x67676D6C  # "ggml"
FULL = ("encoder.positional_embedding", "decoder.positional_embedding")  # matrices that whisper.cpp wants in 32 bits


# CTranslate2's model.bin


def _text(file: BinaryIO) -> str:
    (size,) = struct.unpack("<H", file.read(2))
    return file.read(size)[:-1].decode()  # it ends with a zero


def read_ct2(path: Path) -> Arrays:
    """The variables of a model.bin of format 6, by name; those that are only another name for one, too."""
    with path.open("rb") as file:
        version, _, _, count = *struct.unpack("<I", file.read(4)), _text(file), *struct.unpack("<II", file.read(8))
        if version != 6:
            raise SystemExit(f"{path.name} is of format {version}; this script reads format 6.")
        found = dict(_variable(file) for _ in range(count))
        (aliases,) = struct.unpack("<I", file.read(4))
        for _ in range(aliases):
            name, target = _text(file), _text(file)
            found[name] = found[target]
    return found


def _variable(file: BinaryIO) -> tuple[str, np.ndarray]:
    name = _text(file)
    (rank,) = struct.unpack("<B", file.read(1))
    shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
    kind, size = struct.unpack("<BI", file.read(5))
    return name, np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)


# openai-whisper's names, in the order of its state dict


def state(ct2: Arrays) -> Arrays:
    """The state dict of whisper.model.Whisper."""
    made: Arrays = {}
    for part in ("encoder", "decoder"):
        made[f"{part}.positional_embedding"] = ct2[f"{part}/position_encodings/encodings"]
        if part == "encoder":
            for conv in ("conv1", "conv2"):
                made |= _linear(f"encoder.{conv}", ct2, f"encoder/{conv}")
        else:
            made["decoder.token_embedding.weight"] = ct2["decoder/embeddings/weight"]
        for layer in range(_layers(ct2, part)):
            made |= _block(f"{part}.blocks.{layer}", ct2, f"{part}/layer_{layer}", part == "decoder")
        made |= _norm("encoder.ln_post" if part == "encoder" else "decoder.ln", ct2, f"{part}/layer_norm")
    first = ["decoder.token_embedding.weight", "decoder.positional_embedding"]  # a parameter comes before modules
    order = [name for name in made if name not in first]
    place = order.index("decoder.blocks.0.attn.query.weight")
    return {name: made[name] for name in [*order[:place], *reversed(first), *order[place:]]}


def _layers(ct2: Arrays, part: str) -> int:
    return len(
        {name.split("/")[1] for name in ct2 if name.startswith(f"{part}/layer_") and "norm" not in name.split("/")[1]}
    )


def _block(name: str, ct2: Arrays, source: str, crosses: bool) -> Arrays:
    query, key, value = np.split(ct2[f"{source}/self_attention/linear_0/weight"], 3)
    biases = np.split(ct2[f"{source}/self_attention/linear_0/bias"], 3)
    made = _attention(f"{name}.attn", (query, key, value), biases, ct2, f"{source}/self_attention/linear_1")
    made |= _norm(f"{name}.attn_ln", ct2, f"{source}/self_attention/layer_norm")
    if crosses:
        source_of = f"{source}/attention"
        key, value = np.split(ct2[f"{source_of}/linear_1/weight"], 2)
        bias = [ct2[f"{source_of}/linear_0/bias"], *np.split(ct2[f"{source_of}/linear_1/bias"], 2)]
        weights = (ct2[f"{source_of}/linear_0/weight"], key, value)
        made |= _attention(f"{name}.cross_attn", weights, bias, ct2, f"{source_of}/linear_2")
        made |= _norm(f"{name}.cross_attn_ln", ct2, f"{source_of}/layer_norm")
    made |= _linear(f"{name}.mlp.0", ct2, f"{source}/ffn/linear_0") | _linear(
        f"{name}.mlp.2", ct2, f"{source}/ffn/linear_1"
    )
    return made | _norm(f"{name}.mlp_ln", ct2, f"{source}/ffn/layer_norm")


def _attention(name: str, weights: Any, biases: Any, ct2: Arrays, out: str) -> Arrays:
    """Keys have no bias in Whisper: CTranslate2 fills it with zeros."""
    assert not biases[1].any(), name
    made = {f"{name}.query.weight": weights[0], f"{name}.query.bias": biases[0], f"{name}.key.weight": weights[1]}
    made |= {f"{name}.value.weight": weights[2], f"{name}.value.bias": biases[2]}
    return made | _linear(f"{name}.out", ct2, out)


def _linear(name: str, ct2: Arrays, source: str) -> Arrays:
    return {f"{name}.weight": ct2[f"{source}/weight"], f"{name}.bias": ct2[f"{source}/bias"]}


def _norm(name: str, ct2: Arrays, source: str) -> Arrays:
    return {f"{name}.weight": ct2[f"{source}/gamma"], f"{name}.bias": ct2[f"{source}/beta"]}


def dimensions(weights: Arrays) -> dict[str, int]:
    """As whisper.model.ModelDimensions names them; a head is 64 wide in all of OpenAI's models."""
    audio, text = weights["encoder.positional_embedding"].shape, weights["decoder.positional_embedding"].shape
    layers = [len({n.split(".")[2] for n in weights if n.startswith(f"{p}.blocks.")}) for p in ("encoder", "decoder")]
    return {
        "n_mels": weights["encoder.conv1.weight"].shape[1],
        "n_vocab": weights["decoder.token_embedding.weight"].shape[0],
        "n_audio_ctx": audio[0], "n_audio_state": audio[1], "n_audio_head": audio[1] // 64, "n_audio_layer": layers[0],
        "n_text_ctx": text[0], "n_text_state": text[1], "n_text_head": text[1] // 64, "n_text_layer": layers[1],
    }  # fmt: skip


# What is written


def write_pt(path: Path, weights: Arrays) -> None:
    import torch

    tensors = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
    torch.save({"dims": dimensions(weights), "model_state_dict": tensors}, path)


def write_ggml(path: Path, weights: Arrays) -> None:
    """As whisper.cpp's models/convert-pt-to-ggml.py lays it out; 1 for half precision."""
    size = dimensions(weights)
    names = (
        "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
        "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels",
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(struct.pack("<12i", MAGIC, *(size[name] for name in names), 1))
        filters = _filters(size["n_mels"])
        file.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
        tokens = _tokens(multilingual=size["n_vocab"] >= 51865)
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, value in weights.items():
            file.write(_tensor(name, value))


def _tensor(name: str, value: np.ndarray) -> bytes:
    value = value.reshape(-1, 1) if name in ("encoder.conv1.bias", "encoder.conv2.bias") else np.squeeze(value)
    full = value.ndim < 2 or name in FULL or name.endswith((".conv1.bias", ".conv2.bias"))
    value = value.astype("<f4" if full else "<f2")
    head = struct.pack("<3i", value.ndim, len(name), 0 if full else 1)
    return head + struct.pack(f"<{value.ndim}i", *reversed(value.shape)) + name.encode() + value.tobytes()


def _assets() -> Path:
    found = find_spec("whisper")
    if found is None or found.origin is None:
        raise SystemExit('The mel filters and the vocabulary come with openai-whisper: pip install "stt_lab[lab]".')
    return Path(found.origin).parent / "assets"


def _filters(mels: int) -> np.ndarray:
    with np.load(_assets() / "mel_filters.npz", allow_pickle=False) as file:
        return np.asarray(file[f"mel_{mels}"])  # (mels, 201)


def _tokens(multilingual: bool) -> list[bytes]:
    lines = (_assets() / f"{'multilingual' if multilingual else 'gpt2'}.tiktoken").read_bytes().splitlines()
    return [base64.b64decode(line.split()[0]) for line in lines if line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="ID")
    settings = get_settings()
    target = settings.models_dir / "converted"
    target.mkdir(parents=True, exist_ok=True)
    for id in parser.parse_args().models:
        folder = catalog.locate(catalog.get(id), settings)
        if folder is None:
            raise SystemExit(f"The model {id} is not here: fetch it with `stt-lab models pull {id}`.")
        weights = state(read_ct2(folder / "model.bin"))
        for form, write in (("ggml", write_ggml), ("pt", write_pt)):
            part = target / f".{id}.{form}"
            write(part, weights)
            os.replace(part, target / f"{id}.{form}")
        print(f"{id}: {len(weights)} tensors, as {id}.ggml and {id}.pt")


if __name__ == "__main__":
    main()
