"""How fast a large library is: lists, deep pages, filters and search, as an account asks for them.

    python eval/library.py                          100,000 transcripts in a new SQLite file, some minutes
    python eval/library.py --database URL           in an empty database, such as one of PostgreSQL; with a filled one
                                                    nothing is stored, only asked

Texts are random words with the frequencies of a language (Zipf), of five seconds to some minutes. Every query is asked
ROUNDS times; the first answers are counted too. Wall times are noisy on shared machines: `cpu` is the median of this
process's own processor time, in which SQLite's work is and PostgreSQL's is not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from stt_lab.library import Library, StoredTranscript
from stt_lab.store.database import Database
from stt_lab.store.models import ADMINISTRATOR_ID, ANONYMOUS_ID
from stt_lab.types import Provenance, Segment, Transcript, Turn, Word

RESULTS = Path(__file__).parent / "results"
ROUNDS = 40
BATCH = 500  # transcripts in a transaction
SEGMENT = 14  # words
MEDIAN, SPREAD = 110, 0.8  # words of a transcript, log-normal
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
EVERYWHERE = "everywhere"  # in every transcript
FREQUENT = ("the", "of", "and")
PROVENANCE = Provenance("faster-whisper", "base", "cpu", "1.2.1", {"beam_size": 5}, 12.5)


def vocabulary(rng: random.Random, size: int = 30_000) -> list[str]:
    letters = string.ascii_lowercase
    made = {"".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(size)} - {EVERYWHERE, *FREQUENT}
    return [*FREQUENT, *sorted(made, key=lambda word: (len(word), word))]


def transcripts(count: int, rng: random.Random) -> Iterator[Transcript]:
    words = vocabulary(rng)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    for _ in range(count):
        size = max(SEGMENT, min(2000, int(rng.lognormvariate(0, SPREAD) * MEDIAN)))
        spoken = [EVERYWHERE, *rng.choices(words, cum_weights=weights, k=size)]
        lines = [spoken[i : i + SEGMENT] for i in range(0, len(spoken), SEGMENT)]
        yield transcript(lines, rng)


def transcript(lines: list[list[str]], rng: random.Random) -> Transcript:
    segments, now = [], 0.0
    for line in lines:
        made = []
        for word in line:
            made.append(Word(round(now, 2), round(now + 0.3, 2), f" {word}", round(rng.random(), 4)))
            now += 0.4
        text = " ".join(line).capitalize() + "."
        segments.append(Segment(made[0].start, made[-1].end, text, tuple(made), f"Speaker {rng.randint(1, 2)}"))
    turns = tuple(Turn(segment.start, segment.end, segment.speaker or "") for segment in segments)
    names = tuple(dict.fromkeys(turn.speaker for turn in turns))
    language = rng.choice(("en", "en", "en", "de", "fr"))
    return Transcript(language, now, tuple(segments), names, "base", turns=turns, provenance=(PROVENANCE,))


def fill(database: Database, library: Library, count: int) -> float:
    """Seconds to store them: a fiftieth belongs to another account, some have failed."""
    rng = random.Random(4)
    step = timedelta(days=500) / count
    made = iter(enumerate(transcripts(count, rng)))
    started = time.perf_counter()
    for _ in range(0, count, BATCH):
        with database.write() as session:
            for number, one in (pair for _, pair in zip(range(BATCH), made, strict=False)):
                owner = ANONYMOUS_ID if rng.random() < 0.02 else ADMINISTRATOR_ID
                title = f"Meeting {number} {rng.choice(FREQUENT)}.mp3"
                row = library.open(session, owner, title, FIRST_DAY + number * step)
                if rng.random() < 0.05:
                    library.fail(session, row, "failed", "The file has no sound.")
                else:
                    library.complete(session, row, one)
    return time.perf_counter() - started


def timed(ask: Callable[[], Any]) -> dict[str, Any]:
    """Milliseconds of an answer, and how many results it counted."""
    walls, cpus, count = [], [], None
    for _ in range(ROUNDS):
        started, begun = time.perf_counter(), time.process_time()
        answer = ask()
        walls.append((time.perf_counter() - started) * 1000)
        cpus.append((time.process_time() - begun) * 1000)
        count = getattr(answer, "count", None)
    cuts = statistics.quantiles(walls, n=20)
    found = {"p50": cuts[9], "p95": cuts[18], "max": max(walls), "first": walls[0], "cpu": statistics.median(cpus)}
    return {name: round(value, 1) for name, value in found.items()} | {"count": count}


def lists(library: Library) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each filter on its first and its last page."""
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "status done": {"status": "done"},
        "status failed": {"status": "failed"},
        "language de": {"language": "de"},
        "a month": {"date_from": "2025-03-01", "date_to": "2025-03-31"},
        "from a day": {"date_from": "2025-02-01"},
        "status, language, days": {"status": "done", "language": "en", "date_from": "2025-02-01"},
    }
    for name, chosen in filters.items():
        ask = partial(library.list, ADMINISTRATOR_ID, **chosen)
        yield f"list {name}, 20 at 0", partial(ask, limit=20)
        last = max(0, ask().count - 100)
        yield f"list {name}, 100 at {last}", partial(ask, limit=100, offset=last)


def searches(library: Library) -> Iterator[tuple[str, Callable[[], Any]]]:
    rare = vocabulary(random.Random(4))[-5]
    queries = (EVERYWHERE, "the", "the of and", '"of the"', "t*", "th*", "eve*", "meeting", rare, "nothingofthiskind")
    for query in queries:
        ask = partial(library.search, ADMINISTRATOR_ID, query)
        yield f"search {query}, 20 at 0", partial(ask, 20)
        last = max(0, ask().count - 100)
        yield f"search {query}, 100 at {last}", partial(ask, 100, last)


def others(library: Library) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is done with single transcripts; deleting and renaming take another one each time."""
    *rest, some = library.list(ADMINISTRATOR_ID, status="done", limit=100).results
    ids = iter(rest)
    yield "get by slug", lambda: library.get(ADMINISTRATOR_ID, some.slug)
    yield "transcript", lambda: library.transcript(ADMINISTRATOR_ID, some.id)
    yield "rename a speaker", lambda: rename(library, next(ids))
    yield "delete", lambda: library.delete(ADMINISTRATOR_ID, next(ids).id)


def rename(library: Library, one: StoredTranscript) -> None:
    library.rename_speakers(ADMINISTRATOR_ID, one.id, {one.speakers[0]: "Ada"})


def measure(database: Database, folder: Path, count: int) -> dict[str, Any]:
    library = Library(database, folder)
    seconds = None
    if not library.list(ADMINISTRATOR_ID).count:
        seconds = fill(database, library, count)
        print(f"{count} transcripts stored in {seconds:.0f} s", flush=True)
    rows = {}
    for part in (lists, searches, others):
        for name, ask in part(library):
            rows[name] = timed(ask)
            print(f"{name:60}", *(f"{key} {value}" for key, value in rows[name].items()), flush=True)
    size = sum(path.stat().st_size for path in folder.glob("stt_lab.db*")) / 1e6
    return {
        "database": database.dialect,
        "transcripts": count,
        "store_ms": round(seconds / count * 1000, 2) if seconds else None,
        "size_mb": round(size) if size else None,
        "slowest_read": {
            figure: max(row[figure] for name, row in rows.items() if name.startswith(("list", "search")))
            for figure in ("p50", "p95", "cpu")
        },
        "milliseconds": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcripts", type=int, default=100_000)
    parser.add_argument("--database", help="address of an empty database; a new SQLite file when left out")
    parser.add_argument("--json", type=Path, default=RESULTS / "library.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(chosen.database or f"sqlite:///{folder}/stt_lab.db")
        database.migrate()
        found = measure(database, Path(folder), chosen.transcripts)
        database.close()
    chosen.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
