"""Settings: one table, read once from the environment with the prefix STT_LAB_."""

from __future__ import annotations

import difflib
import os
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
    """Processors that this process may use (affinity and containers considered)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """Each field is an environment variable: `data_dir` is STT_LAB_DATA_DIR."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    admin_key: SecretStr | None = Field(
        None, description="the administrator's key; without it the first start makes one"
    )
    data_dir: Path = Field(
        Path(platformdirs.user_data_dir("stt_lab")), description="uploads and whatever else is written"
    )
    models_dir: Path = Field(
        Path(platformdirs.user_cache_dir("stt_lab")) / "models", description="weights that `models pull` fetched"
    )
    model_paths: dict[str, Path] = Field({}, description='JSON: weights of your own, {"base": "/path/to/folder"}')
    offline: bool = Field(False, description="touch no network at all")
    strict_models: bool = Field(False, description="answer 503 instead of using the best model that is here")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where engines run")
    engine_host: Literal["process", "inprocess", "ray"] = Field(
        "process", description="a worker process per device, this process, or the nodes of a Ray cluster"
    )
    ray_address: str = Field("auto", description="host:port of the cluster; auto: the one that this machine belongs to")
    threads: int = Field(_cpus(), ge=1, description="threads of an engine on the CPU")
    cpu_profile: Literal["fast", "avx512", "off"] = Field(
        "fast", description="of CPU workers: fast keeps memory between windows; avx512 also forces that instruction set"
    )
    recordings_at_once: int = Field(
        3, ge=1, description="recordings that a device works on by turns, so that short ones do not wait for long ones"
    )
    idle_unload_s: float = Field(900, gt=0, description="seconds after which an unused model gives its memory back")
    queue_size: int = Field(8, ge=0, description="requests that may wait for a device; more get 503")
    queue_timeout_s: float = Field(600, gt=0, description="seconds a request may wait for a device")
    max_upload_mb: int = Field(2048, ge=1, description="largest upload")
    max_audio_hours: float = Field(8, gt=0, description="longest recording, in decoded hours")
    keep_audio: bool = Field(True, description="keep the recordings of the library, to listen to them again")
    retention_days: int = Field(0, ge=0, description="days after which transcripts are removed; 0 keeps them")
    webhook_allow_private: bool = Field(False, description="let webhooks reach private addresses, in an intranet")
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (), description="addresses or networks of proxies in front, by commas: their X-Forwarded headers count"
    )
    templates_dir: Path | None = Field(
        None, description="TOML files of further kinds of documents, as those of stt_lab/writing/templates"
    )
    decode_timeout_s: float = Field(600, gt=0, description="seconds that decoding a file may take")
    speech_dir: Path = Field(Path("data/speech"), description="recordings for tests and evaluations")
    database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/name, for several servers; else a file of the data_dir"
    )
    llm_url: HttpUrl | None = Field(
        None, description="a language model elsewhere: any server with OpenAI's API, such as http://127.0.0.1:11434/v1"
    )
    llm_model: str = Field("default", min_length=1, description="what that server calls the model")
    llm_key: SecretStr | None = Field(None, description="its key, where it wants one")
    llm_context: int = Field(4096, ge=1024, description="tokens that it takes, conversation and answer together")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what the log shows")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("llm_url")
    @classmethod
    def _without_secrets(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value is not None and (value.username or value.password or value.query):
            raise ValueError("a key belongs into STT_LAB_LLM_KEY, not into the address")
        return value

    @property
    def uploads_dir(self) -> Path:
        return self.data_dir / "uploads"

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"

    @property
    def max_samples(self) -> int:
        from stt_lab.types import SAMPLE_RATE

        return int(self.max_audio_hours * 3600 * SAMPLE_RATE)


def refuse_unknown(environ: dict[str, str]) -> None:
    """A misspelt setting is an error, not a silent default."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise BadInput(f"The environment sets {name}, which is not a setting of stt_lab.{hint}")


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read on first use."""
    refuse_unknown(dict(os.environ))
    try:
        return Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise BadInput(f"The setting {name} cannot be used: {first['msg']}.") from None
