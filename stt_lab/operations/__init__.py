"""The operations themselves: short functions that compose engines, the store and pure modules.

Their order here is that in which they are shown.
"""

# isort: off
from stt_lab.operations.speech import transcribe
from stt_lab.operations.live import stream, stream_token
from stt_lab.operations.text import analyze, embed, generate, summarize
from stt_lab.operations.translation import translate, translation_languages
from stt_lab.operations.voice import enhance_audio, tts
from stt_lab.operations.stock_speech import speak, voices
from stt_lab.operations.info import health, languages, model, models
from stt_lab.operations.jobs import cancel_job, job, job_deliveries, job_result, list_jobs
from stt_lab.operations.library import (
    delete_transcript,
    export_transcript,
    search_transcripts,
    transcript,
    transcript_audio,
    transcripts,
)
from stt_lab.operations.editing import (
    restore_revision,
    transcript_peaks,
    transcript_revision,
    transcript_revisions,
    update_transcript,
)
from stt_lab.operations.again import diarize_transcript, transcribe_transcript
from stt_lab.operations.recall import (
    analyze_transcript,
    chat_transcript,
    generate_transcript,
    summarize_transcript,
    translate_transcript,
)
from stt_lab.operations.redaction import redact_transcript
from stt_lab.operations.account import account, cloud, create_key, keys, revoke_key, update_account, usage
from stt_lab.operations.admin import (
    change_account,
    create_account,
    create_account_key,
    end_sessions,
    grant_credits,
    list_accounts,
)
from stt_lab.operations.installation import choose_model, delete_model, list_models, pull_model, storage
# isort: on

__all__ = [
    "account",
    "analyze",
    "analyze_transcript",
    "cancel_job",
    "change_account",
    "chat_transcript",
    "choose_model",
    "cloud",
    "create_account",
    "create_account_key",
    "create_key",
    "delete_model",
    "delete_transcript",
    "diarize_transcript",
    "embed",
    "end_sessions",
    "enhance_audio",
    "export_transcript",
    "generate",
    "generate_transcript",
    "grant_credits",
    "health",
    "job",
    "job_deliveries",
    "job_result",
    "keys",
    "languages",
    "list_accounts",
    "list_jobs",
    "list_models",
    "model",
    "models",
    "pull_model",
    "redact_transcript",
    "restore_revision",
    "revoke_key",
    "search_transcripts",
    "speak",
    "storage",
    "stream",
    "stream_token",
    "summarize",
    "summarize_transcript",
    "transcribe",
    "transcribe_transcript",
    "transcript",
    "transcript_audio",
    "transcript_peaks",
    "transcript_revision",
    "transcript_revisions",
    "transcripts",
    "translate",
    "translate_transcript",
    "translation_languages",
    "tts",
    "update_account",
    "update_transcript",
    "usage",
    "voices",
]
