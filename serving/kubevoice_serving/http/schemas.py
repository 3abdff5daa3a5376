"""Request and response models, as /docs shows them."""

from typing import Annotated, Any, Literal, Self

from kubevoice.text.ssml import Notice
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticUndefined

from kubevoice_serving.http.dialogue import DialogueTurn, build_document, split_turns
from kubevoice_serving.http.text_field import Text

__all__ = [
    "AnalyzeRequest",
    "AnalyzeResponse",
    "AudioFormat",
    "ErrorBody",
    "ErrorResponse",
    "LegacyRequest",
    "LegacyResponse",
    "ReadingFields",
    "RequestNotice",
    "SpeechInput",
    "SpeechOptions",
    "SpeechRequest",
    "StrictModel",
    "SubtitlesRequest",
    "Text",
]

MAX_CHARACTERS = 4096
MAX_TURNS = 100


def _unwrap_voice(value: object) -> object:
    """Return the name of a voice, which OpenAI's clients may send as {"id": NAME}."""
    return value["id"] if isinstance(value, dict) and set(value) == {"id"} else value


class StrictModel(BaseModel):
    """A model that rejects unknown fields. A field that is null is as one that is omitted, if it has a default."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _omit_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        # A text that may be omitted is "" then; null in its place is an error, as it is for a text that is required.
        without = (PydanticUndefined, "")
        defaults = {name for name, field in cls.model_fields.items() if field.get_default() not in without}
        return {name: each for name, each in value.items() if each is not None or name not in defaults}


IGNORED_FIELDS = frozenset(
    (
        *("user", "metadata", "language", "lang_code", "backend"),  # LiteLLM, LocalAI, Kokoro-FastAPI
        *("normalization_options", "return_download_link", "download_format", "return_timestamps"),  # Kokoro-FastAPI
        *("sample_rate", "gain", "references", "max_tokens", "max_new_tokens"),  # speaches, SiliconFlow, Fish Speech
        *("task_type", "ref_audio", "ref_text", "x_vector_only_mode", "initial_codec_chunk_frames"),  # vLLM-Omni
        *("temperature", "top_p", "top_k", "seed", "repetition_penalty", "exaggeration", "cfg_weight"),  # samplers
        *("volume_multiplier", "chunk_length", "chunk_size", "streaming_mode", "split_sentences", "extra_params"),
    )
)
"""Fields that clients of other servers send and that have no effect here."""


class ReadingFields(StrictModel):
    """How the text of a request is read."""

    lexicon: dict[str, str] | None = Field(
        None,
        max_length=200,
        description="By word, pinyin with tones, or the words that are read instead.",
        examples=[{"重庆": "chong2 qing4", "80后": "八零后"}],
    )
    hints: bool = Field(True, description="Whether plain text may have hints such as 行[hang2] (docs/front-end.md).")
    keep_code: bool = Field(False, description="Whether fenced code in plain text is read.")


class SpeechOptions(ReadingFields):
    """Voice, controls and readings of a request."""

    model: str = Field("kubevoice", description="Ignored; OpenAI's clients send it. `voice` selects the voice.")
    voice: Annotated[str | None, BeforeValidator(_unwrap_voice)] = Field(
        None, description="Name from /v1/voices; the default voice if omitted."
    )
    speed: float = Field(1.0, ge=0.25, le=4, description="Factor on the speed.")
    emotion: str | None = Field(
        None, description="Label from /v1/voices; the voice's default if omitted.", examples=["happy"]
    )
    intensity: float = Field(
        1.0, ge=0, le=2, description="Intensity of the emotion: 0 is neutral, 1 as trained, 2 twice the difference."
    )
    speaker: str | int | None = Field(
        None,
        description="Name or number of a speaker of the voice, or a blend such as zf_xiaoxiao(2)+zm_yunxi(1).",
    )
    pitch: float = Field(0.0, ge=-12, le=12, description="Change of pitch in semitones.")
    volume: float = Field(1.0, ge=0, le=2, description="Factor on the amplitude.")
    instructions: str | None = Field(
        None,
        max_length=MAX_CHARACTERS,
        description="How to speak, in Chinese or English. Words that name an emotion, its intensity or a rate choose "
        "them; X-Notices says which.",
        examples=["Speak slowly, in a very cheerful tone."],
    )
    _ignored: tuple[str, ...] = PrivateAttr(())
    """Fields that were sent and have no effect; set by `_accept_known_fields`."""

    @model_validator(mode="wrap")
    @classmethod
    def _accept_known_fields(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Take out the fields of other servers."""
        if not isinstance(value, dict):
            return handler(value)
        model = handler({name: each for name, each in value.items() if name not in IGNORED_FIELDS})
        ignored = tuple(name for name, each in value.items() if name in IGNORED_FIELDS and each is not None)
        model._ignored = ignored  # noqa: SLF001  # of this class
        return model

    @property
    def notices(self) -> tuple[Notice, ...]:
        """A notice for each field that has no effect."""
        return tuple(Notice(f"the field `{name}` has no effect") for name in self._ignored)


class SpeechInput(SpeechOptions):
    """The text to synthesize, and its options."""

    input: Text = Field(
        description=f"Text to synthesize, at most {MAX_CHARACTERS} characters.", examples=["今天天气真好。"]
    )
    ssml: bool = Field(False, description="The input is an SSML document (docs/ssml.md).")
    turns: tuple[DialogueTurn, ...] | None = Field(
        None, min_length=1, max_length=MAX_TURNS, description="What several speakers say, in place of `input`."
    )
    loudness: float | None = Field(
        None,
        ge=-40,
        le=-5,
        description="Integrated loudness of the audio in LUFS (BS.1770), with peaks of at most -1 dBFS. "
        "It is measured after synthesis, so it cannot be combined with streaming.",
        examples=[-16],
    )

    @model_validator(mode="wrap")
    @classmethod
    def _write_turns(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Write turns, or a text with tags `[voice:NAME]`, as an SSML document."""
        has_turns = isinstance(value, dict) and value.get("turns") is not None
        if has_turns and value.get("input") is not None:
            raise ValueError("send `input` or `turns`, not both")
        model = handler({**value, "input": " "} if has_turns else value)
        turns = model.turns if has_turns or model.ssml else split_turns(model.input)
        if turns is not None:
            model.input, model.ssml, model.turns = build_document(turns), True, None
        return model


AudioFormat = Literal["mp3", "wav", "flac", "opus", "aac", "pcm"]


class SpeechRequest(SpeechInput):
    """The request body of OpenAI's /v1/audio/speech, with more fields."""

    response_format: AudioFormat = Field(
        "mp3", description="`pcm` is headerless little-endian int16 at the rate in X-Sample-Rate."
    )
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="`sse` sends base64 chunks as server-sent events, as OpenAI does."
    )
    timestamps: bool = Field(
        False,
        description="With `sse`, also send events `speech.audio.timestamps`: times of words, characters and bookmarks.",
    )
    stream: bool | None = Field(
        None,
        description="Stream the speech. If omitted, all formats are streamed but wav and flac, because their "
        "headers contain their length.",
    )


class SubtitlesRequest(SpeechInput):
    """The body of /v1/audio/speech; the response has the time of each word."""

    format: Literal["json", "srt", "vtt"] = Field(
        "json", description="`json` has the times of words, characters and bookmarks in seconds."
    )


class LegacyRequest(StrictModel):
    """The body of /api/tts."""

    text: Text = Field("", examples=["你好，世界。"])
    emotion: str | None = None
    speaker_id: str | int | None = None
    speed: float = Field(1.0, ge=0.25, le=4)
    volume: float = Field(1.0, ge=0, le=2)


class LegacyResponse(BaseModel):
    """The path of the WAV file, which is deleted after seven days."""

    audio_url: str = Field(examples=["/audio/0f8fad5bd9cb469fa16570867728950e.wav"])


class AnalyzeRequest(ReadingFields):
    """Text to analyze."""

    text: Text = Field(examples=["他行长2米。"])
    voice: Annotated[str | None, BeforeValidator(_unwrap_voice)] = Field(
        None, description="Voice whose front end is used; the default voice if omitted."
    )
    ssml: bool = Field(False, description="The text is an SSML document (docs/ssml.md).")


class AnalyzedSyllable(BaseModel):
    """A syllable and its character."""

    char: str
    offset: int | None = Field(description="Code-point index in the text; null where normalisation made the syllable.")
    base: str = Field(description="Pinyin with a tone digit before sandhi.")
    pinyin: str = Field(description="Pinyin with a tone digit as spoken.")
    by: str = Field(description="What decided the base, a name of docs/front-end.md.")


class RequestNotice(BaseModel):
    """A part of the request or of its SSML document that has no effect."""

    message: str
    line: int | None = Field(description="Line of the document, from 1; null if the notice is about no place in it.")
    column: int | None


class ReadingDecision(BaseModel):
    """What decided how a part of the text is read."""

    offset: int | None = Field(description="Code-point index in the text; null where normalisation made the part.")
    written: str
    reading: str = Field(description="Words in its place, or pinyin before sandhi.")
    by: str = Field(description="A rule of normalisation, or a source of readings (docs/front-end.md).")


class AnalyzeResponse(BaseModel):
    """How the text would be read: the object that `kubevoice text` prints."""

    text: str
    normalized: str
    words: list[str]
    pinyin: list[AnalyzedSyllable]
    units: list[str]
    notices: list[RequestNotice] = Field([], description="Characters, tags and parts of a document that were ignored.")
    decisions: list[ReadingDecision] = Field([], description="Rules that changed the text, then readings, in order.")


class ErrorBody(BaseModel):
    """OpenAI's error object; `problems` lists all errors of the request."""

    message: str
    type: str
    code: str
    param: str | None = None
    problems: list[str] = []


class ErrorResponse(BaseModel):
    """The body of every error. Under /api it is {"error": MESSAGE}."""

    error: ErrorBody
