"""What the engines of texts are worth: translation there and back, and embeddings against the reference program.

    python eval/text_engines.py translate    200 sentences into Portuguese and back: chrF, and what was lost
    python eval/text_engines.py embed        texts a second, beside sentence-transformers in the same run

chrF is sacrebleu's, of the sentences that came back against those that were given: it says how much of the wording
survives two translations, not how good either is. Rounds of embedding are interleaved, the ratio is the median of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from stt_lab.engines import catalog
from stt_lab.engines.pool import Pool
from stt_lab.engines.protocols import silent
from stt_lab.operations import translate
from stt_lab.settings import get_settings
from stt_lab.writing.checks import faults

HERE = Path(__file__).parent
FAST, EXACT = "all-MiniLM-L6-v2-int8", "all-MiniLM-L6-v2"
ROUNDS = 7
Row = dict[str, Any]


# Translation


def there_and_back() -> Row:
    from sacrebleu.metrics import CHRF

    sentences = (HERE / "text" / "translate_en.txt").read_text("utf-8").split("\n")
    sentences = [sentence for sentence in sentences if sentence.strip()]
    began = time.perf_counter()
    there = translate("pt", texts=sentences, source="en").translations
    middle = time.perf_counter()
    back = translate("en", texts=[one.translated_text for one in there], source="pt").translations
    end = time.perf_counter()
    texts = [sentences, *([one.translated_text for one in made] for made in (there, back))]
    return {
        "sentences": len(sentences),
        "models": sorted({str(one.model) for one in (*there, *back)}),
        "chrf": round(CHRF().corpus_score(texts[2], [sentences]).score, 2),
        "warnings": sum(bool(one.warnings) for one in (*there, *back)),
        "unchanged": sum(one == other for one, other in zip(texts[0], texts[1], strict=True)),
        "empty": sum(not text.strip() for made in texts[1:] for text in made),
        "faults": _faults(texts),
        "words_per_second": [
            round(words(texts[0]) / (middle - began), 1),
            round(words(texts[1]) / (end - middle), 1),
        ],
    }


def words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _faults(texts: Sequence[Sequence[str]]) -> Row:
    """What the checks say of each translation as a whole: too short is what a truncated one would be."""
    found: Row = {}
    for sources, targets in pairwise(texts):
        for source, target in zip(sources, targets, strict=True):
            for fault in faults(source, target):
                found[fault.says] = found.get(fault.says, 0) + 1
    return found


# Embeddings


def throughput() -> Row:
    """Texts: the segments of eval/text, and passages of five of them."""
    rows = [json.loads(line) for line in (HERE / "text" / "transcripts.jsonl").read_text("utf-8").splitlines()]
    spoken = [segment["text"] for row in rows for segment in row["segments"]]
    return {
        "segments": _compared(spoken),
        "passages": _compared([" ".join(spoken[start : start + 5]) for start in range(0, len(spoken), 5)]),
    }


def _compared(texts: list[str]) -> Row:
    pool = Pool(get_settings().model_copy(update={"engine_host": "inprocess"}))

    def ours(model: str) -> Callable[[], Any]:
        chosen = catalog.get(model)
        return lambda: pool.work(chosen, "embed", silent, texts=tuple(texts))

    reference = _reference()
    programs: dict[str, Callable[[], Any]] = {
        FAST: ours(FAST),
        EXACT: ours(EXACT),
        "sentence-transformers": lambda: reference.encode(texts, show_progress_bar=False),
    }
    for run in programs.values():
        run()  # loads
    walls: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(ROUNDS):
        order = list(programs) if number % 2 else list(reversed(programs))
        for name in order:
            began = time.perf_counter()
            programs[name]()
            walls[name].append(time.perf_counter() - began)
    ratios = {
        name: round(
            statistics.median(
                theirs / mine for theirs, mine in zip(walls["sentence-transformers"], walls[name], strict=True)
            ),
            2,
        )
        for name in (FAST, EXACT)
    }
    rates = {name: round(len(texts) / statistics.median(wall), 1) for name, wall in walls.items()}
    return {"texts": len(texts), "words": words(texts), "texts_per_second": rates, "times_faster": ratios}


def _reference() -> Any:
    """sentence-transformers as its authors use this model, on as many threads."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    settings = get_settings()
    torch.set_num_threads(settings.threads)
    folder = catalog.locate(catalog.get(EXACT), settings)
    layers = [Transformer(str(folder), max_seq_length=256), Pooling(384, "mean"), Normalize()]
    return SentenceTransformer(modules=layers, device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["translate", "embed"])
    wanted = parser.parse_args().what
    made = {"translate": there_and_back, "embed": throughput}[wanted]()
    (HERE / "results" / f"text-{wanted}.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
