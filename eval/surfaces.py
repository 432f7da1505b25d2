"""The same recordings through every surface: is the text the same?

    python eval/surfaces.py [--model base] [--count 20]

Page (Debian's Chromium), HTTP, command line, Python, and Python on a Ray cluster of this machine, each with and without
OPENBLAS_CORETYPE in the environment: numpy's linear algebra has other low bits there, and low bits decide hard
recordings. Recordings come from STT_LAB_SPEECH_DIR. Results go to eval/results/surfaces.json; ends with 1
where texts differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service import RESULTS, Service, recordings

from stt_lab.settings import get_settings

CORETYPE = "OPENBLAS_CORETYPE"
LONGEST_S = 30.0
PORT = 26379  # of the cluster, on this machine alone
PYTHON = """
import json, sys
import stt_lab
from stt_lab.presentation import to_json
model, *paths = sys.argv[1:]
for path in paths:
    print(json.dumps(to_json(stt_lab.transcribe(path, model=model))), flush=True)
"""

Texts = dict[str, str]  # by recording


def chosen(count: int) -> list[Path]:
    """Recordings with speech, of every kind in turn, so that hard ones are among them; none longer than LONGEST_S."""
    settings = get_settings()
    by_kind: dict[str, list[Path]] = {}
    for row in recordings(settings):
        if row["duration_s"] <= LONGEST_S and row.get("text"):
            by_kind.setdefault(row["kind"], []).append(settings.speech_dir / row["path"])
    found: list[Path] = []
    for number in range(count):
        found += [paths[number] for paths in by_kind.values() if number < len(paths)]
    return list(dict.fromkeys(found))[:count]


def environment(coretype: str | None) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    return plain | ({CORETYPE: coretype} if coretype else {})


def lines(command: list[str], environ: Mapping[str, str], paths: list[Path]) -> Texts:
    """Texts of a program that prints a transcript as JSON for each recording, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, env={**environ, "STT_LAB_DATA_DIR": folder}, stdout=subprocess.PIPE, text=True, check=True
        )
    decoder, rest, made = json.JSONDecoder(), done.stdout.strip(), []
    while rest:
        value, end = decoder.raw_decode(rest)
        made.append(value)
        rest = rest[end:].strip()
    return {path.name: one["text"] for path, one in zip(paths, made, strict=True)}


def through_http(service: Service, paths: list[Path], model: str) -> Texts:
    return {path.name: service.post(path, model=model).raise_for_status().json()["text"] for path in paths}


def through_page(service: Service, paths: list[Path], model: str) -> Texts:
    from playwright.sync_api import sync_playwright

    made: Texts = {}
    with sync_playwright() as playwright:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        context = browser.new_context()
        page = context.new_page()  # signed in, because callers without a key have few transcriptions a day
        page.goto(f"{service.url}/sign-in")
        page.fill("#key", service.key)
        page.press("#key", "Enter")
        page.wait_for_selector("#stt-go")
        for path in paths:
            page = context.new_page()
            page.goto(service.url)
            page.wait_for_selector("#stt-go")
            page.set_input_files("#stt-file input[type=file]", str(path))
            page.wait_for_function(
                "name => document.querySelector('#stt-file').innerText.includes(name)", arg=path.stem[:10]
            )
            page.wait_for_timeout(1000)  # Gradio's client loses an event that begins within some 0.1 s of another's end
            page.click("#stt-go")
            ended = "() => [...document.querySelectorAll('.stt-result, .stt-notice')].some(one => one.offsetParent)"
            page.wait_for_function(ended, timeout=1_200_000)  # a busy machine takes long
            made[path.name] = ""  # of a recording in which nobody is heard, there is nothing to save
            if page.locator("[data-save$='.json']").count():
                with page.expect_download() as download:
                    page.click("[data-save$='.json']")
                made[path.name] = json.loads(Path(download.value.path()).read_text("utf-8"))["text"]
            page.close()
        browser.close()
    return made


@contextmanager
def cluster(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A Ray cluster of this machine alone; the environment of a client of it."""
    ray = str(Path(sys.executable).with_name("ray"))
    with tempfile.TemporaryDirectory() as folder:
        start = ["start", "--head", f"--port={PORT}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
        patient = {**environ, "RAY_raylet_start_wait_time_s": "300"}  # Ray's own limit is too short for a busy machine
        subprocess.run([ray, *start, f"--temp-dir={folder}"], env=patient, check=True, stdout=subprocess.DEVNULL)
        try:
            yield {**environ, "STT_LAB_ENGINE_HOST": "ray", "STT_LAB_RAY_ADDRESS": f"127.0.0.1:{PORT}"}
        finally:
            subprocess.run([ray, "stop", "--force"], env=environ, check=False, stdout=subprocess.DEVNULL)


def measure(paths: list[Path], model: str) -> dict[str, Texts]:
    """Texts by surface and environment."""
    found: dict[str, Texts] = {}
    for label, environ in {"with": environment("Haswell"), "without": environment(None)}.items():
        given = [str(path) for path in paths]
        script = [sys.executable, "-c", PYTHON, model, *given]
        os.environ.pop(CORETYPE, None)  # a service inherits the rest
        with Service({name: value for name, value in environ.items() if name == CORETYPE}) as service:
            found[f"http, {label}"] = through_http(service, paths, model)
            found[f"page, {label}"] = through_page(service, paths, model)
        command = [sys.executable, "-m", "stt_lab", "transcribe", *given, "--model", model]
        found[f"command line, {label}"] = lines(command, environ, paths)
        found[f"python, {label}"] = lines(script, environ, paths)
        with cluster(environ) as client:
            found[f"ray, {label}"] = lines(script, client, paths)
        print(f"{label} {CORETYPE}: done", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base")
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    paths = chosen(options.count)
    found = measure(paths, options.model)
    first = next(iter(found.values()))
    differing: dict[str, Any] = {
        name: {surface: texts[name] for surface, texts in found.items() if texts[name] != first[name]} for name in first
    }
    differing = {name: others | {"first": first[name]} for name, others in differing.items() if others}
    result = {"model": options.model, "recordings": len(first), "surfaces": list(found), "differing": differing}
    (RESULTS / "surfaces.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(first)} recordings, {len(found)} surfaces and environments, {len(differing)} with other texts")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
