"""Settings, read once from the environment variables with the prefix STT_LAB_."""

from __future__ import annotations

import difflib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, HttpUrl, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stt_lab.errors import BadInput

PREFIX = "STT_LAB_"
MB = 1024 * 1024


def _cpus() -> int:
    """Return the number of processors that this process may use, within affinity and container limits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """One field per environment variable: `data_dir` is STT_LAB_DATA_DIR."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    admin_key: SecretStr | None = Field(
        None, description="Administrator's key; the first start creates one if it is unset"
    )
    data_dir: Path = Field(
        Path(platformdirs.user_data_dir("stt_lab")), description="Folder for uploads, recordings and the database"
    )
    models_dir: Path = Field(
        Path(platformdirs.user_cache_dir("stt_lab")) / "models",
        description="Folder for the models that `models pull` downloads",
    )
    model_paths: dict[str, Path] = Field({}, description='Your own model folders, as JSON: {"base": "/path/to/folder"}')
    offline: bool = Field(False, description="Never use the network")
    strict_models: bool = Field(
        False, description="Answer 503 if the requested model is missing, instead of using the best installed one"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Device for engines")
    engine_host: Literal["process", "inprocess", "ray"] = Field(
        "process", description="Where engines run: one worker process per device, this process, or a Ray cluster"
    )
    ray_address: str = Field("auto", description="host:port of the Ray cluster, or auto (the cluster of this machine)")
    threads: int = Field(_cpus(), ge=1, description="CPU threads per engine")
    cpu_profile: Literal["fast", "avx512", "off"] = Field(
        "fast", description="CPU workers: fast keeps memory between windows, avx512 also forces that instruction set"
    )
    recordings_at_once: int = Field(
        3, ge=1, description="Recordings that a device processes in turns, so that short ones do not wait for long ones"
    )
    idle_unload_s: float = Field(900, gt=0, description="Seconds until an unused model is unloaded")
    engine_patience: float = Field(
        1,
        gt=0,
        description="Factor of the time limits of engine calls, which grow with the input, for slow machines",
    )
    queue_size: int = Field(8, ge=0, description="Requests that may wait for a device; further ones get 503")
    queue_timeout_s: float = Field(600, gt=0, description="Seconds that a request may wait for a device")
    max_upload_mb: int = Field(2048, ge=1, description="Largest upload in MB")
    max_uploads_gb: float = Field(20, gt=0, description="Size of all uploads in progress in GB; further ones get 503")
    disk_reserve_gb: float = Field(1, ge=0, description="Free space on disk in GB below which uploads get 503")
    max_audio_hours: float = Field(8, gt=0, description="Longest recording in hours")
    max_stream_hours: float = Field(4, gt=0, description="Longest live stream in hours")
    keep_audio: bool = Field(True, description="Keep the recordings of stored transcripts")
    retention_days: int = Field(0, ge=0, description="Days until transcripts are deleted (0 = never)")
    webhook_allow_private: bool = Field(False, description="Allow webhooks to private addresses, for an intranet")
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (),
        description="Addresses or networks of reverse proxies, comma-separated; their X-Forwarded headers are trusted",
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names by which clients reach this server, comma-separated, such as stt.example.org. A server that "
        "listens on loopback only accepts localhost, 127.0.0.1 and [::1] too; others accept any name if this is empty",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose pages may use the API with a key, comma-separated, such as https://app.example.org; "
        "they can never use the session of a visitor",
    )
    templates_dir: Path | None = Field(
        None, description="Folder with your own document templates (TOML, as in stt_lab/writing/templates)"
    )
    require_consent: bool = Field(
        False, description="Refuse `tts` without `consent=true`, by which a caller says that the voice's owner agrees"
    )
    accept_noncommercial: bool = Field(
        False, description="Accept licences that forbid commercial use; models such as `f5-tts` are off without it"
    )
    decode_timeout_s: float = Field(600, gt=0, description="Seconds that decoding a file may take")
    speech_dir: Path = Field(Path("data/speech"), description="Recordings for tests and evaluations")
    database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/name, for several servers; default: SQLite in data_dir"
    )
    llm_url: HttpUrl | None = Field(
        None, description="Language model server with OpenAI's API, such as http://127.0.0.1:11434/v1"
    )
    llm_model: str = Field("default", min_length=1, description="Name of the model on that server")
    llm_key: SecretStr | None = Field(None, description="Key for that server, if it needs one")
    llm_context: int = Field(
        4096, ge=1024, description="Context length of that model in tokens, prompt and answer together"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level of log messages")

    @field_validator("trusted_proxies", "hosts", "cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("hosts")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(re.search(r"[/@?#\s*]", name) for name in names):
            raise ValueError("write names without scheme, path or wildcards, such as stt.example.org")
        return names

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        made = tuple(origin.lower().rstrip("/") for origin in origins)
        if not all(re.fullmatch(r"https?://[^/@?#\s*]+", origin) for origin in made):
            raise ValueError("write origins with their scheme and without a path, such as https://app.example.org")
        return made

    @field_validator("llm_url")
    @classmethod
    def _without_secrets(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value is not None and (value.username or value.password or value.query):
            raise ValueError("the URL must not contain a key. Set STT_LAB_LLM_KEY instead")
        return value

    @property
    def uploads_dir(self) -> Path:
        return self.data_dir / "uploads"

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"

    @property
    def max_samples(self) -> int:
        """Return the longest recording in samples at 16 kHz."""
        from stt_lab.types import SAMPLE_RATE

        return int(self.max_audio_hours * 3600 * SAMPLE_RATE)


def refuse_unknown(environ: dict[str, str]) -> None:
    """Raise BadInput for an environment variable with our prefix that is not a setting, such as a misspelled one."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise BadInput(f"The environment variable {name} is not a setting of stt_lab.{hint or ' Remove it.'}")


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process; the first call reads them. Raises BadInput for a value that cannot be
    used."""
    refuse_unknown(dict(os.environ))
    try:
        return Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise BadInput(f"The setting {name} is invalid: {first['msg']}.") from None
