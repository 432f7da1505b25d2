"""stt_lab: a speech-to-text workbench that runs on your own machines.

Printed by `make docs` from the declarations; do not edit.
"""

from pathlib import Path as Path
from stt_lab.operations.account import AccountInfo as AccountInfo, Cloud as Cloud, KeyList as KeyList, NewKey as NewKey, OwnAccount as OwnAccount, Usage as Usage
from stt_lab.operations.admin import AccountList as AccountList, EndedSessions as EndedSessions, Granted as Granted
from stt_lab.operations.info import Health as Health, LanguageList as LanguageList, ModelList as ModelList
from stt_lab.operations.jobs import DeliveryList as DeliveryList
from stt_lab.operations.library import SearchResultPage as SearchResultPage, TranscriptDetail as TranscriptDetail, TranscriptPage as TranscriptPage
from stt_lab.operations.text import Embeddings as Embeddings
from stt_lab.operations.translation import Translation as Translation, TranslationLanguages as TranslationLanguages, Translations as Translations
from stt_lab.operations.values import Removed as Removed
from stt_lab.recall.values import ChatAnswer as ChatAnswer
from stt_lab.types import Audio as Audio, Diarization as Diarization, Entity as Entity, Event as Event, File as File, JobInfo as JobInfo, Parsed as Parsed, Provenance as Provenance, Recognition as Recognition, Rendering as Rendering, Segment as Segment, Span as Span, Suppressed as Suppressed, TextSpan as TextSpan, Token as Token, Transcript as Transcript, Turn as Turn, Word as Word
from stt_lab.writing.values import Analysis as Analysis, Generated as Generated, Summary as Summary
from typing import Any as Any, Literal as Literal, overload as overload

__all__ = ["Audio", "Diarization", "Entity", "Event", "File", "JobInfo", "Parsed", "Provenance", "Recognition", "Rendering", "Segment", "Span", "Suppressed", "TextSpan", "Token", "Transcript", "Turn", "Word", "account", "analyze", "analyze_transcript", "cancel_job", "change_account", "chat_transcript", "cloud", "create_account", "create_account_key", "create_key", "delete_transcript", "embed", "end_sessions", "export_transcript", "generate", "generate_transcript", "grant_credits", "health", "job", "job_deliveries", "job_result", "keys", "languages", "list_accounts", "models", "redact_transcript", "revoke_key", "search_transcripts", "summarize", "summarize_transcript", "transcribe", "transcript", "transcript_audio", "transcripts", "translate", "translate_transcript", "translation_languages", "update_account", "update_transcript", "usage"]
__version__: str

@overload
def transcribe(
    file: str | Path,
    model: str = 'large-v3-turbo',
    language: str = 'auto',
    diarize: bool = True,
    speakers: int = 0,
    response_format: Literal['json'] = 'json',
    task: Literal['transcribe', 'translate'] = 'transcribe',
    background: Literal[False] = False,
    store: bool = True,
    webhook_url: str = '',
) -> Transcript:
    """Transcribe a recording: text with word times and speakers.

    With a key, the server stores the transcript in the account's library, and the answer carries its `id`. With
    `background`, the answer is a job; ask for its result with the job's id.

    Parameters:
        file: Audio or video file.
        model: Id of a speech model, as `models` lists them (default: 'large-v3-turbo').
        language: ISO 639-1 code of the spoken language, or `auto` to detect it (default: 'auto').
        diarize: Label who speaks (default: True).
        speakers: Number of speakers (0 = detect) (default: 0).
        response_format: Format of the answer (default: 'json').
        task: `transcribe` writes what is said, `translate` writes it in English (default:
            'transcribe').
        background: Answer at once with a job instead of the result; on HTTP also `async` (default:
            False).
        store: Keep the transcript in the library of the key's account (default: True).
        webhook_url: URL that receives a signed POST when the job ends (default: '').

    Returns:
        Transcript: The words of a recording, with times and speakers. Members: language, duration,
            segments, speakers, model, warnings, suppressed, turns, provenance, id. Another format
            (application/x-subrip, text/vtt, text/plain) is a Rendering with its `text`. With
            `background`: a JobInfo.

    Raises:
        BadInput: a parameter is not allowed
        MissingFile: the file cannot be read
        UnsupportedMedia: the file holds no sound that can be decoded
        Unavailable: a model or its device is not available now
        Cancelled: the work was cancelled
    """
    ...
@overload
def transcribe(
    file: str | Path,
    model: str = 'large-v3-turbo',
    language: str = 'auto',
    diarize: bool = True,
    speakers: int = 0,
    *,
    response_format: Literal['txt', 'text', 'srt', 'vtt', 'verbose_json'],
    task: Literal['transcribe', 'translate'] = 'transcribe',
    background: Literal[False] = False,
    store: bool = True,
    webhook_url: str = '',
) -> Rendering: ...
@overload
def transcribe(
    file: str | Path,
    model: str = 'large-v3-turbo',
    language: str = 'auto',
    diarize: bool = True,
    speakers: int = 0,
    response_format: Literal['json', 'txt', 'text', 'srt', 'vtt', 'verbose_json'] = 'json',
    task: Literal['transcribe', 'translate'] = 'transcribe',
    *,
    background: Literal[True],
    store: bool = True,
    webhook_url: str = '',
) -> JobInfo: ...
@overload
def transcribe(
    file: str | Path,
    model: str = 'large-v3-turbo',
    language: str = 'auto',
    diarize: bool = True,
    speakers: int = 0,
    response_format: Literal['json', 'txt', 'text', 'srt', 'vtt', 'verbose_json'] = 'json',
    task: Literal['transcribe', 'translate'] = 'transcribe',
    background: bool = False,
    store: bool = True,
    webhook_url: str = '',
) -> Transcript | Rendering | JobInfo: ...
def summarize(
    text: str,
    style: Literal['brief', 'detailed', 'action_items', 'bullet_points', 'bullets'] = 'brief',
    model: str = 'auto',
) -> Summary:
    """Summarize a text. Every statement links to the passages that support it.

    With a language model, the summary is rewritten in its own words, and unsupported statements are dropped. Without
    one, the summary consists of sentences of the text; English sentences lose leading fillers such as "So, um,".

    Parameters:
        text: Input text.
        style: Style of the summary; `bullets` means `bullet_points` (default: 'brief').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').

    Returns:
        Summary: A summary, as text and as statements. Members: summary, style, model, statements,
            warnings.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def analyze(
    text: str,
    type: Literal['sentiment', 'topics', 'entities', 'action_items', 'questions', 'pii_redact', 'pii'],
    mode: Literal['mark', 'mask', 'hash'] = 'mark',
    model: str = 'auto',
) -> Analysis:
    """Find sentiment, topics, entities, action items, questions or personal data in a text.

    The form of `result` depends on `type`. Spans count characters: `text[start:end]`.

    sentiment: `label` and `score` (-1 to 1), for the text and for each of its `sentences`. topics: a list of `topic`,
    `score` and `spans`. entities: a list of `text`, `label` (OntoNotes: PERSON, ORG, GPE, DATE, MONEY ...), `start` and
    `end`. action_items: a list of `text`, `owner`, `due` and `span`. questions: a list of `text`, `span` and
    `answered`; a request to do something is an action item. pii_redact: `text` without personal data, and `entities`
    with `label`, `start`, `end` and `score`; fails if no installed model can search the text.

    Without a language model, topics work in every language, the other types in English.

    Parameters:
        text: Input text.
        type: What to find; `pii` means `pii_redact`.
        mode: How pii_redact replaces personal data: `mark` ([PERSON]), `mask` (█, same length) or
            `hash` (default: 'mark').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').

    Returns:
        Analysis: `result` is a list or an object, depending on `type`; plain values, with spans as
            {"start", "end"}. Members: type, model, result, warnings.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def generate(
    text: str,
    type: str,
    prompt: str = '',
    model: str = 'auto',
) -> Generated:
    """Write a document about a text. `content` is Markdown; `items` are its parts with their source passages.

    Items of flashcards have `question` and `answer`, items of a quiz also `options`. Items of chapter_markers have
    `title` and `start` (characters; seconds in a transcript), items of key_quotes `quote` (verbatim) and `speaker`.

    Without a language model, the document consists of sentences of the text, arranged by the template. A prompt then
    favors sentences close to its meaning.

    Parameters:
        text: Input text.
        type: Type of document: blog_post, chapter_markers, flashcards, key_quotes, meeting_notes,
            newsletter, quiz, show_notes, podcast_show_notes, social_linkedin, social_media,
            social_twitter, study_guide, or a template of this server.
        prompt: What the document should focus on (default: '').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').

    Returns:
        Generated: A document: Markdown in `content`, and the same content as `items`. Members: type,
            model, content, items, warnings.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def embed(
    texts: list[str],
    model: str = 'all-MiniLM-L6-v2',
) -> Embeddings:
    """Turn texts into vectors of unit length: the closer two meanings, the larger the dot product.

    Only the first 256 tokens of each text count, about 200 words.

    Parameters:
        texts: List of input texts.
        model: Model: `all-MiniLM-L6-v2`, or its 8-bit variant `all-MiniLM-L6-v2-int8` (default: 'all-
            MiniLM-L6-v2').

    Returns:
        Embeddings: One vector per text, in the order of the texts. Members: embeddings, dimensions,
            model.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def translate(
    target: str,
    text: str | None = None,
    texts: list[str] | None = None,
    source: str = 'en',
    model: str = 'auto',
) -> Translation | Translations:
    """Translate a text, or a list of texts.

    Translation works sentence by sentence: white space, bullets, addresses and emoji stay in place. Sentences whose
    translation looks incomplete or repetitive are translated again; remaining doubts are listed in `warnings`.
    `statements` map each translated sentence to its source span (characters, `text[start:end]`).

    Parameters:
        target: Target language: a code such as `pt` or `zh-Hant`, or a name.
        text: Text to translate.
        texts: List of texts to translate; use instead of `text`.
        source: Language of the text: a code such as `en` or `por`, a name, or `auto` (detect) (default:
            'en').
        model: Model: `auto` (best installed), or a model id (default: 'auto').

    Returns:
        value: The result.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def translation_languages(
) -> TranslationLanguages:
    """List the languages that texts can be translated between, and which of them are available here.

    Returns:
        TranslationLanguages: All languages of translation, and the directions that installed models
            support. Members: languages, pairs.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def models(
) -> ModelList:
    """List the speech recognition models, and which of them are installed.

    Returns:
        ModelList: All speech recognition models. Members: models.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def languages(
) -> LanguageList:
    """List the languages that can be transcribed.

    Returns:
        LanguageList: All languages that can be transcribed. Members: languages.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def health(
) -> Health:
    """Report whether the server can transcribe: models, device, database.

    Returns:
        Health: Whether the server can do its work. Members: status, gpu_available, gpu_name,
            gpu_memory_mb, missing.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def job(
    id: str,
) -> JobInfo:
    """Show the progress of a job: status, stage, percent, and the seconds that the rest is expected to take.

    Parameters:
        id: Id of the job, from the answer to its request.

    Returns:
        JobInfo: How far a job is. Members: id, status, stage, percent, eta_s, created, started,
            finished, transcript_id, error, url.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def job_result(
    id: str,
) -> Transcript | Rendering:
    """Get the result of a finished job, as its request would have had it. The server keeps it for a day.

    Parameters:
        id: Id of the job, from the answer to its request.

    Returns:
        Transcript: The words of a recording, with times and speakers. Members: language, duration,
            segments, speakers, model, warnings, suppressed, turns, provenance, id. Another format
            (application/x-subrip, text/vtt, text/plain) is a Rendering with its `text`.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def cancel_job(
    id: str,
) -> JobInfo:
    """Cancel a job. Nothing is charged for it; a job that has ended stays as it is.

    Parameters:
        id: Id of the job, from the answer to its request.

    Returns:
        JobInfo: How far a job is. Members: id, status, stage, percent, eta_s, created, started,
            finished, transcript_id, error, url.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def job_deliveries(
    id: str,
) -> DeliveryList:
    """List the attempts to call a job's webhook, and how the receiver answered.

    Parameters:
        id: Id of the job, from the answer to its request.

    Returns:
        DeliveryList: The result. Members: count, results.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def transcripts(
    limit: int = 20,
    offset: int = 0,
    status: Literal['', 'queued', 'running', 'done', 'failed', 'cancelled'] = '',
    language: str = '',
    date_from: str = '',
    date_to: str = '',
) -> TranscriptPage:
    """List the account's transcripts, newest first.

    Parameters:
        limit: Results per page (default: 20).
        offset: Results to skip (default: 0).
        status: Only transcripts with this status (default: '').
        language: Only transcripts in this language: ISO 639-1 code (default: '').
        date_from: Day (UTC), such as 2026-03-31; included (default: '').
        date_to: Day (UTC), such as 2026-03-31; included (default: '').

    Returns:
        TranscriptPage: One page of a list of transcripts. Members: count, results.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def transcript(
    id: str,
) -> TranscriptDetail:
    """Get a transcript with its segments.

    Parameters:
        id: Number or slug of the transcript.

    Returns:
        TranscriptDetail: A whole transcript; `text` and `segments` are empty until it is done. Members:
            id, slug, title, status, error, language, duration, model, words, speakers, has_audio,
            created, finished, text, segments, warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def update_transcript(
    id: str,
    speakers: dict[str, str] | None = None,
    title: str | None = None,
) -> TranscriptDetail:
    """Rename the speakers of a transcript, change its title, or both.

    Speakers that get the same name are merged. A new title does not change the slug.

    Parameters:
        id: Number or slug of the transcript.
        speakers: New names by current names, such as {"Speaker 1": "Ada"}.
        title: New title.

    Returns:
        TranscriptDetail: A whole transcript; `text` and `segments` are empty until it is done. Members:
            id, slug, title, status, error, language, duration, model, words, speakers, has_audio,
            created, finished, text, segments, warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def delete_transcript(
    id: str,
) -> Removed:
    """Delete a transcript with its recording and all results made from it.

    Parameters:
        id: Number or slug of the transcript.

    Returns:
        Removed: What was deleted or revoked. Members: id, status.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def export_transcript(
    id: str,
    format: Literal['txt', 'srt', 'vtt', 'json', 'csv', 'docx', 'pdf'],
) -> File:
    """Download a transcript as a file.

    Parameters:
        id: Number or slug of the transcript.
        format: File format.

    Returns:
        File: A file that is made while it is read, once; or one that lies on the disk. Members: name,
            media_type, chunks, warnings, path, headers.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def transcript_audio(
    id: str,
) -> File:
    """Download the recording of a transcript as it was uploaded.

    HTTP also serves parts (`Range`), so that a player can seek without downloading everything before.

    Parameters:
        id: Number or slug of the transcript.

    Returns:
        File: A file that is made while it is read, once; or one that lies on the disk. Members: name,
            media_type, chunks, warnings, path, headers.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def search_transcripts(
    query: str,
    limit: int = 20,
    offset: int = 0,
    mode: Literal['words', 'meaning'] = 'words',
) -> SearchResultPage:
    """Search the titles, speaker names and texts of the account's transcripts.

    `mode=words` finds every transcript that contains all words, newest first. `mode=meaning` also accepts a question:
    it compares passages with the query by meaning (MiniLM) and by words, and returns the best 200 transcripts, each
    with its best passage.

    Parameters:
        query: Words that must all occur, "phrases", or prefixes*; a question if mode is `meaning`.
        limit: Results per page (default: 20).
        offset: Results to skip (default: 0).
        mode: `words` (all words occur, newest first) or `meaning` (best match first) (default:
            'words').

    Returns:
        SearchResultPage: One page of search results. Members: count, results, warnings.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def summarize_transcript(
    id: str,
    style: Literal['brief', 'detailed', 'action_items', 'bullet_points', 'bullets'] = 'brief',
    model: str = 'auto',
    force: bool = False,
) -> Summary:
    """Summarize a transcript. Every statement links to the segments that support it.

    The result is stored and returned again until the text or a speaker's name changes, or until `force` requests a new
    one.

    Parameters:
        id: Number or slug of the transcript.
        style: Style of the summary; `bullets` means `bullet_points` (default: 'brief').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').
        force: Make a new result even if one is stored (default: False).

    Returns:
        Summary: A summary, as text and as statements. Members: summary, style, model, statements,
            warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def analyze_transcript(
    id: str,
    type: Literal['sentiment', 'topics', 'entities', 'action_items', 'questions', 'pii_redact', 'pii'],
    mode: Literal['mark', 'mask', 'hash'] = 'mark',
    model: str = 'auto',
    force: bool = False,
) -> Analysis:
    """Find sentiment, topics, entities, action items, questions or personal data in a transcript.

    `result` has the form that `analyze` returns; beside each span stand `sources` (segment numbers) and `start_time`
    (seconds). The result is stored and returned again until the text or a speaker's name changes, or until `force`
    requests a new one.

    Parameters:
        id: Number or slug of the transcript.
        type: What to find; `pii` means `pii_redact`.
        mode: How pii_redact replaces personal data: `mark` ([PERSON]), `mask` (█, same length) or
            `hash` (default: 'mark').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').
        force: Make a new result even if one is stored (default: False).

    Returns:
        Analysis: `result` is a list or an object, depending on `type`; plain values, with spans as
            {"start", "end"}. Members: type, model, result, warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def generate_transcript(
    id: str,
    type: str,
    prompt: str = '',
    model: str = 'auto',
    force: bool = False,
) -> Generated:
    """Write a document about a transcript. Items have `sources` (segment numbers) and `start_time` (seconds).

    `start` of chapter_markers is in seconds. The result is stored and returned again until the text, a speaker's name
    or the template changes, or until `force` requests a new one.

    Parameters:
        id: Number or slug of the transcript.
        type: Type of document: blog_post, chapter_markers, flashcards, key_quotes, meeting_notes,
            newsletter, quiz, show_notes, podcast_show_notes, social_linkedin, social_media,
            social_twitter, study_guide, or a template of this server.
        prompt: What the document should focus on (default: '').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').
        force: Make a new result even if one is stored (default: False).

    Returns:
        Generated: A document: Markdown in `content`, and the same content as `items`. Members: type,
            model, content, items, warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def chat_transcript(
    id: str,
    question: str,
    session_id: str = '',
    model: str = 'auto',
) -> ChatAnswer:
    """Ask a question about a transcript. The answer cites the segments that support it, or says that there is none.

    Send the `session_id` of an earlier answer to ask a follow-up question. Without a language model, the answer quotes
    the passages closest to the question.

    Parameters:
        id: Number or slug of the transcript.
        question: Question about the transcript; HTTP also accepts `message`.
        session_id: Session id of an earlier answer, for a follow-up question (default: '').
        model: Model: `auto` (best installed), `extractive` (no language model), or a model id (default:
            'auto').

    Returns:
        ChatAnswer: An answer to a question about a transcript. Members: answer, sources, session_id,
            model, found, nearest, warnings.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def translate_transcript(
    id: str,
    target: str,
    source: str = 'auto',
    format: Literal['txt', 'srt', 'vtt', 'json', 'csv', 'docx', 'pdf'] = 'txt',
    model: str = 'auto',
) -> File:
    """Translate a transcript into another language, segment by segment, and return it as a file with speakers and
    times.

    Parameters:
        id: Number or slug of the transcript.
        target: Target language: a code such as `pt` or `zh-Hant`, or a name.
        source: Language of the transcript: `auto` (as detected), a code or a name (default: 'auto').
        format: File format (default: 'txt').
        model: Model: `auto` (best installed), or a model id (default: 'auto').

    Returns:
        File: A file that is made while it is read, once; or one that lies on the disk. Members: name,
            media_type, chunks, warnings, path, headers.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def redact_transcript(
    id: str,
    format: Literal['txt', 'srt', 'vtt', 'json', 'csv', 'docx', 'pdf', 'wav'] = 'txt',
    mode: Literal['mark', 'mask', 'hash'] = 'mark',
    types: list[str] | None = None,
    sound: Literal['silence', 'tone'] = 'silence',
) -> File:
    """Return a transcript or its recording without personal data, as a file.

    Named speakers are numbered again. A redacted recording is transcribed again around each removed passage; if any of
    it can still be heard, the request fails. Equal values have equal hashes within one file only.

    Parameters:
        id: Number or slug of the transcript.
        format: File format; `wav` is the redacted recording, 16 kHz mono (default: 'txt').
        mode: How to replace personal data: `mark` ([PERSON]), `mask` (█, same length) or `hash`
            (default: 'mark').
        types: Kinds of personal data to remove: PERSON, ADDRESS, DATE_OF_BIRTH, PHONE_NUMBER,
            EMAIL_ADDRESS, CREDIT_CARD, IBAN_CODE, IP_ADDRESS; default: all.
        sound: Sound that replaces personal data in a recording (default: 'silence').

    Returns:
        File: A file that is made while it is read, once; or one that lies on the disk. Members: name,
            media_type, chunks, warnings, path, headers.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def account(
) -> OwnAccount:
    """Get the account: name, e-mail preferences, credits and plan.

    Returns:
        OwnAccount: The caller's own account. Members: id, name, email, preferences, plan, credits,
            quota, admin, disabled, created, webhook_secret.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def update_account(
    name: str | None = None,
    email: str | None = None,
    preferences: dict[str, Any] | None = None,
) -> OwnAccount:
    """Change the account's name, e-mail address or e-mail preferences.

    Parameters:
        name: New name.
        email: New e-mail address; "" removes it.
        preferences: E-mail preferences; they replace the old ones.

    Returns:
        OwnAccount: The caller's own account. Members: id, name, email, preferences, plan, credits,
            quota, admin, disabled, created, webhook_secret.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def keys(
) -> KeyList:
    """List the account's keys. Only their prefixes are shown; the server does not store the keys themselves.

    Returns:
        KeyList: All valid keys of an account. Members: count, results.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def create_key(
    name: str,
    scopes: list[str] | None = None,
) -> NewKey:
    """Create a key. This answer is the only place that shows it.

    Parameters:
        name: Name of the key.
        scopes: Scopes of the key: speech, text, library, account, admin; default: those of the caller.

    Returns:
        NewKey: A new key, with its secret part. Members: id, name, prefix, scopes, created, last_used,
            key.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def revoke_key(
    id: int,
) -> Removed:
    """Revoke a key. It stops working at once.

    Parameters:
        id: Number of the key.

    Returns:
        Removed: What was deleted or revoked. Members: id, status.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def usage(
) -> Usage:
    """Get what the account used in the last 30 days, by day and operation.

    Returns:
        Usage: Successful work by day (UTC), today last, and its totals. Members: days, minutes,
            credits, jobs, quota.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def cloud(
) -> Cloud:
    """List the places where engines run. Only administrators see them; for other callers the list is empty.

    Returns:
        Cloud: All places where engines run. Members: count, results.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def list_accounts(
) -> AccountList:
    """List all accounts: for administrators.

    Returns:
        AccountList: The result. Members: count, results.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def create_account(
    name: str,
    email: str | None = None,
    tier: str = 'free',
) -> AccountInfo:
    """Make an account: for administrators. Its first key comes from `create_account_key`.

    Parameters:
        name: unique in this installation.
        email: e-mail address.
        tier: free, paid, unlimited, or another that was made (default: 'free').

    Returns:
        AccountInfo: An account without its secrets. Members: id, name, email, preferences, plan,
            credits, quota, admin, disabled, created.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
def create_account_key(
    id: int,
    name: str,
    scopes: list[str] | None = None,
) -> NewKey:
    """Make a key for any account: for administrators.

    Parameters:
        id: number of the account.
        name: to tell it from others.
        scopes: without any: all but admin.

    Returns:
        NewKey: A new key, with its secret part. Members: id, name, prefix, scopes, created, last_used,
            key.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def change_account(
    id: int,
    name: str | None = None,
    email: str | None = None,
    tier: str | None = None,
    disabled: bool | None = None,
) -> AccountInfo:
    """Change any account: for administrators.

    Parameters:
        id: number of the account.
        name: New name.
        email: New e-mail address; "" removes it.
        tier: another plan.
        disabled: switch the account and its keys off, or on again.

    Returns:
        AccountInfo: An account without its secrets. Members: id, name, email, preferences, plan,
            credits, quota, admin, disabled, created.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def grant_credits(
    id: int,
    credits: int,
    note: str = '',
) -> Granted:
    """Give credits to an account: for administrators.

    Parameters:
        id: number of the account.
        credits: how many; negative takes back.
        note: why (default: '').

    Returns:
        Granted: The result. Members: id, credits.

    Raises:
        BadInput: a parameter is not allowed
        NotFound: nothing has this id
        Unavailable: a model or its device is not available now
    """
    ...
def end_sessions(
    account: int | None = None,
) -> EndedSessions:
    """End the sessions of the page, of one account or of all: for administrators. Keys stay valid.

    Parameters:
        account: Number of the account; without it, all accounts.

    Returns:
        EndedSessions: The result. Members: ended.

    Raises:
        BadInput: a parameter is not allowed
        Unavailable: a model or its device is not available now
    """
    ...
