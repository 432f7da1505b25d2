"""What README claims: the lines of its table of numbers, what measures each, and where that lies in eval/results.

claim.py has the kinds of values; claims.py prints the table from here and says whether the numbers hold.
"""

from __future__ import annotations

from claim import LESS, MORE, Measurement, Number, Row, at, diarized, middle, slowest, times_the_work

MEASUREMENTS = {
    "words": Measurement("eval/quality.py words", "words.json", 20),
    "silence": Measurement("eval/quality.py silence", "silence.json", 2),
    "speakers": Measurement("eval/quality.py speakers", "speakers.json", 10),
    "every_word": Measurement("eval/every_word.py", "every_word.json", 15),
    "diarization": Measurement("eval/diarization.py", "diarization.json", 15),
    "diarization-speed": Measurement("eval/diarization.py --speed", "diarization-speed.json", 15),
    "short": Measurement("eval/service.py short", "short.json", 10),
    "long": Measurement("eval/service.py long", "long.json", 120),
    "memory": Measurement("eval/service.py memory", "memory.json", 60),
    "startup": Measurement("eval/service.py startup", "startup.json", 5),
    "load-throughput": Measurement("eval/load.py throughput", "load-throughput.json", 5),
    "load-memory": Measurement("eval/load.py memory", "load-memory.json", 10),
    "library": Measurement("eval/library.py", "library.json", 10),
    "kills": Measurement("eval/kills.py", "kills.json", 45),
    "text-extractive": Measurement("eval/text.py", "text-extractive.json", 2),
    "text-pii": Measurement("eval/text_pii.py", "text-pii.json", 2),
    "text-retrieval": Measurement("eval/text_retrieval.py", "text-retrieval.json", 4),
    "text-answers": Measurement(
        "eval/text_retrieval.py --model qwen2.5-coder-1.5b-instruct-q4",
        "text-answers-qwen2.5-coder-1.5b-instruct-q4.json",
        25,
    ),
    "text-translate": Measurement("eval/text_translation.py", "text-translate.json", 1),
    "text-speed": Measurement("eval/text_speed.py", "text-speed.json", 4),
}

TALKS = "errors/assembled and video: "

ROWS = (
    Row(
        "words",
        ("WER, LibriSpeech test-other and FLEURS ({files} recordings)", "{ours} %", "{bare} % bare faster-whisper"),
        {
            "files": Number(at("table/pooled/stt_lab/files"), ".0f"),
            "ours": Number(at("table/pooled/stt_lab/wer", 100), ".2f", LESS, 0.5),
            "bare": Number(at("table/pooled/bare/wer", 100), ".2f", LESS, 0.5),
        },
    ),
    Row(
        "silence",
        ("words where nobody speaks ({files} recordings)", "{words}", ""),
        {"files": Number(at("files"), ".0f"), "words": Number(at("words"), ".0f", LESS)},
    ),
    Row(
        "every_word",
        (
            "conversations and videos, {words} words: lost / of these spoken alone / added",
            "{lost} / {alone} / {added}",
            "{bare_lost} / {bare_alone} / {bare_added} bare faster-whisper",
        ),
        {
            "words": Number(at(f"{TALKS}stt_lab/words"), ".0f"),
            "lost": Number(at(f"{TALKS}stt_lab/deleted"), ".0f", LESS, 8),
            "alone": Number(at(f"{TALKS}stt_lab/deleted_of/alone/0"), ".0f", LESS, 6),
            "added": Number(at(f"{TALKS}stt_lab/inserted"), ".0f", LESS, 5),
            "bare_lost": Number(at(f"{TALKS}bare/deleted"), ".0f"),
            "bare_alone": Number(at(f"{TALKS}bare/deleted_of/alone/0"), ".0f"),
            "bare_added": Number(at(f"{TALKS}bare/inserted"), ".0f"),
        },
    ),
    Row(
        "diarization",
        (
            "DER, {clips} AMI clips / {talks} conversations, overlaps scored",
            "{ami} / {conv} %",
            "{ami_floor} / {conv_floor} % with oracle clusters",
        ),
        {
            "clips": Number(diarized("AMI", "clips"), ".0f"),
            "talks": Number(diarized("conv_dev", "clips"), ".0f"),
            "ami": Number(diarized("AMI", "auto"), ".1f", LESS, 0.5),
            "conv": Number(diarized("conv_dev", "auto"), ".1f", LESS, 0.5),
            "ami_floor": Number(diarized("AMI", "floor"), ".1f", LESS, 0.5),
            "conv_floor": Number(diarized("conv_dev", "floor"), ".1f", LESS, 0.5),
        },
    ),
    Row(
        "diarization",
        ("number of speakers right", "{right} of {all}", "{given} of {all_given} with the number given"),
        {
            "right": Number(diarized("AMI+conv_dev", "right"), ".0f", MORE, 1),
            "all": Number(diarized("AMI+conv_dev", "clips"), ".0f"),
            "given": Number(diarized("AMI+conv_dev", "right_given"), ".0f", MORE, 1),
            "all_given": Number(diarized("AMI+conv_dev", "clips"), ".0f"),
        },
    ),
    Row(
        "speakers",
        ("words with the wrong speaker (WDER)", "{words} %", "{segments} % labelling whole segments"),
        {
            "words": Number(at("table/all/word wder", 100), ".1f", LESS, 0.5),
            "segments": Number(at("table/all/segment wder", 100), ".1f", LESS, 0.5),
        },
    ),
    Row(
        "diarization-speed",
        (
            "diarization of {minutes} minutes, x real time",
            "{rtf}",
            "about {times} times the CPU in pyannote's plain pipeline",
        ),
        {
            "minutes": Number(at("speed/seconds", 1 / 60), ".0f"),
            "rtf": Number(
                lambda results: min(run["wall_x_real_time"] for run in results["speed"]["ours"]), ".2f", LESS, 0.05
            ),
            "times": Number(times_the_work, ".0f", MORE, 8),
        },
    ),
    Row(
        "short",
        ("clips under 10 s, language=auto", "{times} times faster", "bare faster-whisper with its defaults"),
        {"times": Number(at("median_ratio"), ".1f", MORE, 0.2)},
    ),
    Row(
        "long",
        (
            "two files of 6 minutes, share of the other's time: clock / processors",
            "{wall} / {cpu}",
            "bare faster-whisper, with word times and voice activity detection",
        ),
        {
            "wall": Number(at("ratios/fast wall"), ".2f", LESS, 0.05),
            "cpu": Number(at("ratios/fast cpu"), ".2f", LESS, 0.05),
        },
    ),
    Row(
        "memory",
        (
            "peak memory, all processes, {short} min / {long} min with speakers",
            "{short_gb} / {long_gb} GB",
            "",
        ),
        {
            "short": Number(at("30/duration", 1 / 60), ".0f"),
            "long": Number(at("120/duration", 1 / 60), ".0f"),
            "short_gb": Number(at("30/peak_mb", 0.001), ".1f", LESS, 0.3),
            "long_gb": Number(at("120/peak_mb", 0.001), ".1f", LESS, 0.3),
        },
    ),
    Row(
        "load-throughput",
        ("eight clients at once, throughput of one client's", "{ratio}", ""),
        {"ratio": Number(at("ratio"), ".2f", MORE, 0.15)},
    ),
    Row(
        "load-memory",
        ("memory after {jobs} jobs, above that after 20", "{growth} %", ""),
        {"jobs": Number(at("jobs"), ".0f"), "growth": Number(at("growth", 100), ".1f", LESS, 4.5)},
    ),
    Row(
        "library",
        ("list / search of {count} transcripts on SQLite, worst median", "{list} / {search} ms", ""),
        {
            "count": Number(at("transcripts"), ",.0f"),
            "list": Number(slowest("list"), ".0f", LESS, 20),
            "search": Number(slowest("search"), ".0f", LESS, 40),
        },
    ),
    Row(
        "startup",
        (
            "server until its page answers / `import stt_lab`",
            "{page} / {library} s",
            "idle it takes {idle} % of a core",
        ),
        {
            "page": Number(middle("page_s"), ".0f", LESS, 8),
            "library": Number(middle("import_s"), ".2f", LESS, 0.1),
            "idle": Number(middle("idle_cores", 100), ".0f", LESS, 3),
        },
    ),
    Row(
        "kills",
        ("a working server killed {kills} times (SIGKILL): answers lost, charges twice, remains", "{faults}", ""),
        {"kills": Number(at("kills"), ".0f"), "faults": Number(lambda results: len(results["faults"]), ".0f", LESS)},
    ),
    Row(
        "text-extractive",
        (
            "action items / entities / questions, F1 in {talks} conversations that no rule was tuned on",
            "{actions} / {entities} / {questions} %",
            "{words} % by words of promises / {spacy} % spaCy alone / {marks} % every question mark",
        ),
        {
            "talks": Number(at("conversations/held_out/count"), ".0f"),
            "actions": Number(at("actions/held_out/f1", 100), ".0f", MORE, 2),
            "entities": Number(at("entities/held_out/f1", 100), ".0f", MORE, 2),
            "questions": Number(at("questions/held_out/f1", 100), ".0f", MORE, 2),
            "words": Number(at("actions/held_out/f1_by_words", 100), ".0f"),
            "spacy": Number(at("entities/held_out/f1_spacy_alone", 100), ".0f"),
            "marks": Number(at("questions/held_out/f1_by_marks", 100), ".0f"),
        },
    ),
    Row(
        "text-extractive",
        (
            "brief summaries without a language model, ROUGE-1 / ROUGE-L, all {talks} conversations",
            "{one} / {long} %",
            "{lead_one} / {lead_long} % the first three sentences, {same_one} / {same_long} % as many words",
        ),
        {
            "talks": Number(at("conversations/all/count"), ".0f"),
            "one": Number(at("summaries/all/brief_rouge1", 100), ".1f", MORE, 1),
            "long": Number(at("summaries/all/brief_rougeL", 100), ".1f", MORE, 1),
            "lead_one": Number(at("summaries/all/lead_3_rouge1", 100), ".1f"),
            "lead_long": Number(at("summaries/all/lead_3_rougeL", 100), ".1f"),
            "same_one": Number(at("summaries/all/lead_as_long_rouge1", 100), ".1f"),
            "same_long": Number(at("summaries/all/lead_as_long_rougeL", 100), ".1f"),
        },
    ),
    Row(
        "text-extractive",
        ("chapters: Pk (less is better), the same conversations", "{pk} %", "{even} % cut evenly, {none} % not cut"),
        {
            "pk": Number(at("chapters/all/pk", 100), ".1f", LESS, 1),
            "even": Number(at("chapters/all/pk_even", 100), ".1f"),
            "none": Number(at("chapters/all/pk_none", 100), ".1f"),
        },
    ),
    Row(
        "text-extractive",
        (
            "statements and items whose {count} citations resolve / quotes that are word for word",
            "{resolve} / {verbatim} %",
            "",
        ),
        {
            "count": Number(at("citations/all/statements"), ",.0f"),
            "resolve": Number(at("citations/all/resolve", 100), ".0f", MORE),
            "verbatim": Number(at("citations/all/verbatim", 100), ".0f", MORE),
        },
    ),
    Row(
        "text-pii",
        (
            "personal data found in conversations, {items} items / with names that nobody has",
            "{found} / {strangers} %",
            "{precision} % of what is taken out is such",
        ),
        {
            "items": Number(at("all/planted"), ".0f"),
            "found": Number(at("all/recall", 100), ".1f", MORE, 1),
            "strangers": Number(at("strangers/recall", 100), ".0f", MORE, 2),
            "precision": Number(at("all/precision", 100), ".0f", MORE, 2),
        },
    ),
    Row(
        "text-retrieval",
        (
            "the passage with the answer is among the first three ({questions} questions)",
            "{found} %",
            "{words} % by words alone, {meaning} % by MiniLM alone",
        ),
        {
            "questions": Number(at("refused/as it is/all/answerable"), ".0f"),
            "found": Number(at("found/sum/hit@3", 100), ".0f", MORE, 2),
            "words": Number(at("found/words/hit@3", 100), ".0f", MORE, 2),
            "meaning": Number(at("found/meaning/hit@3", 100), ".0f", MORE, 2),
        },
    ),
    Row(
        "text-retrieval",
        (
            "questions that the transcript does not answer ({questions}), refused without a language model",
            "{refused} %",
            "and {wrong} of {answerable} that it does",
        ),
        {
            "questions": Number(at("refused/as it is/all/unanswerable"), ".0f"),
            "refused": Number(at("refused/as it is/all/refused", 100), ".0f", MORE, 4),
            "wrong": Number(at("refused/as it is/all/wrongly_refused"), ".0f", LESS, 2),
            "answerable": Number(at("refused/as it is/all/answerable"), ".0f"),
        },
    ),
    Row(
        "text-answers",
        ("the same by a language model of 1.5 billion parameters", "{refused} %", "and {wrong} of {answerable}"),
        {
            "refused": Number(at("refused/all/refused", 100), ".0f", MORE, 4),
            "wrong": Number(at("refused/all/wrongly_refused"), ".0f", LESS, 2),
            "answerable": Number(at("refused/all/answerable"), ".0f"),
        },
    ),
    Row(
        "text-translate",
        ("{sentences} sentences into Portuguese and back, chrF", "{chrf}", "{empty} empty, {warnings} doubtful"),
        {
            "sentences": Number(at("sentences"), ".0f"),
            "chrf": Number(at("chrf"), ".1f", MORE, 1),
            "empty": Number(at("empty"), ".0f", LESS),
            "warnings": Number(at("warnings"), ".0f", LESS, 2),
        },
    ),
    Row(
        "text-speed",
        (
            "{words} words without a language model: summary / all six analyses",
            "{summary} / {analyses} s",
            "{summary_cpu} / {analyses_cpu} processor seconds",
        ),
        {
            "words": Number(at("words"), ",.0f"),
            "summary": Number(at("writing/again/summary/wall_s"), ".1f", LESS, 2),
            "analyses": Number(at("writing/again/analyses/wall_s"), ".1f", LESS, 5),
            "summary_cpu": Number(at("writing/again/summary/cpu_s"), ".1f", LESS, 1),
            "analyses_cpu": Number(at("writing/again/analyses/cpu_s"), ".1f", LESS, 2),
        },
    ),
    Row(
        "text-speed",
        (
            "embeddings, the variant of 8 bits: clock / processor seconds",
            "{times} / {work} times faster",
            "sentence-transformers",
        ),
        {
            "times": Number(at("embedding/times_faster/wall_s"), ".2f", MORE, 0.2),
            "work": Number(at("embedding/times_faster/cpu_s"), ".2f", MORE, 0.2),
        },
    ),
)
