"""The bodies of requests and answers, as /docs shows them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from kubevoice_serving.domain import Track

__all__ = [
    "AnalyzeAnswer",
    "AnalyzeRequest",
    "AudioFormat",
    "Controlled",
    "ErrorAnswer",
    "ErrorBody",
    "LegacyAnswer",
    "LegacyRequest",
    "ModelList",
    "NotObeyed",
    "Request",
    "RevisionList",
    "SpeechRequest",
    "Spoken",
    "SubtitlesRequest",
    "Text",
    "VoiceList",
]

MAX_CHARACTERS = 4096


def _voice_name(value: object) -> object:
    """OpenAI's clients may send a voice as {"id": NAME}."""
    return value["id"] if isinstance(value, dict) and set(value) == {"id"} else value


def _whole_characters(text: str) -> str:
    """Refuse what JSON can write and no encoding can: half a character beyond U+FFFF, as a careless cut leaves it."""
    at = next((at for at, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
    if at is not None:
        raise ValueError(f"character {at} is half a surrogate pair; send whole characters")
    return text


Text = Annotated[str, AfterValidator(_whole_characters)]


class Request(BaseModel):
    """What is not foreseen is refused."""

    model_config = ConfigDict(extra="forbid")


class Controlled(Request):
    """How something is to be spoken."""

    model: str = Field("kubevoice", description="Accepted for OpenAI's clients; the voice decides.")
    voice: Annotated[str | None, BeforeValidator(_voice_name)] = Field(
        None, description="A name from /v1/voices; omitted, the default voice."
    )
    speed: float = Field(1.0, ge=0.25, le=4)
    emotion: str | None = Field(None, description="A label from /v1/voices.", examples=["happy"])
    intensity: float = Field(1.0, ge=0, le=2, description="0 is neutral, 1 as trained, 2 twice as far from neutral.")
    speaker: str | int | None = Field(
        None,
        description="Name or number of a speaker of the voice, or a blend such as zf_xiaoxiao(2)+zm_yunxi(1).",
    )
    pitch: float = Field(0.0, ge=-12, le=12, description="Semitones.")
    volume: float = Field(1.0, ge=0, le=2)
    lexicon: dict[str, str] | None = Field(
        None, max_length=200, description="Readings by word, in pinyin with tones.", examples=[{"重庆": "chong2 qing4"}]
    )


class Spoken(Controlled):
    """What is to be spoken, and how."""

    input: Text = Field(description=f"Text to speak, at most {MAX_CHARACTERS} characters.", examples=["今天天气真好。"])
    ssml: bool = Field(False, description="The input is an SSML document (docs/ssml.md).")
    loudness: float | None = Field(
        None,
        ge=-40,
        le=-5,
        description="Integrated loudness in LUFS (BS.1770) that the speech is brought to, without peaks above -1 dBFS. "
        "It is known once all is spoken, so this is not streamed.",
        examples=[-16],
    )


AudioFormat = Literal["mp3", "wav", "flac", "opus", "aac", "pcm"]


class SpeechRequest(Spoken):
    """OpenAI's shape, and what a SAMBERT voice can do besides."""

    response_format: AudioFormat = Field(
        "mp3", description="`pcm` is headerless little-endian int16 at the rate told by X-Sample-Rate."
    )
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="`sse` sends base64 pieces as server-sent events, as OpenAI does."
    )
    timestamps: bool = Field(
        False,
        description="With `sse`, events `speech.audio.timestamps` tell when words, characters and bookmarks are heard.",
    )
    stream: bool | None = Field(
        None,
        description="Send speech while it is made. Omitted, what can be played so is: all but wav and flac, whose "
        "heads then could not tell their length.",
    )


class SubtitlesRequest(Spoken):
    """The same as is asked of /v1/audio/speech; the answer is when each word is heard."""

    format: Literal["json", "srt", "vtt"] = Field(
        "json", description="`json` has the times of words, characters and bookmarks in seconds."
    )


class LegacyRequest(Request):
    """The small interface of /api/tts."""

    text: Text = Field("", examples=["你好，世界。"])
    emotion: str | None = None
    speaker_id: str | int | None = None
    speed: float = Field(1.0, ge=0.25, le=4)
    volume: float = Field(1.0, ge=0, le=2)


class LegacyAnswer(BaseModel):
    """Where the WAV lies; it is deleted after seven days."""

    audio_url: str = Field(examples=["/audio/0f8fad5bd9cb469fa16570867728950e.wav"])


class AnalyzeRequest(Request):
    """Text to read."""

    text: Text = Field(examples=["他行长2米。"])
    voice: Annotated[str | None, BeforeValidator(_voice_name)] = Field(
        None, description="The voice that reads it; omitted, the default voice."
    )
    ssml: bool = Field(False, description="The text is an SSML document (docs/ssml.md).")
    lexicon: dict[str, str] | None = Field(None, max_length=200, description="Readings by word, in pinyin with tones.")


class AnalyzedSyllable(BaseModel):
    """A syllable and the character it stands for."""

    char: str
    offset: int | None = Field(description="Code-point index in the text; null where normalisation made the syllable.")
    base: str = Field(description="Pinyin with a tone digit before sandhi.")
    pinyin: str = Field(description="Pinyin with a tone digit as spoken.")


class NotObeyed(BaseModel):
    """Something in an SSML document that is not obeyed; its text is spoken all the same."""

    message: str
    line: int | None = Field(description="From 1; null for what the voice lacks.")
    column: int | None


class AnalyzeAnswer(BaseModel):
    """How the text would be read: the same object that `kubevoice text` prints."""

    text: str
    normalized: str
    words: list[str]
    pinyin: list[AnalyzedSyllable]
    units: list[str]
    notices: list[NotObeyed] = Field([], description="What of an SSML document is not obeyed.")


class Voice(BaseModel):
    """A loaded voice."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    revision: str
    language: str
    sample_rate: int
    speakers: list[str]
    emotions: list[str]
    styles: list[str]
    metrics: dict[str, float]
    attribution: list[str]
    default: bool


class VoiceList(BaseModel):
    """Every loaded voice."""

    voices: list[Voice]


class Replica(BaseModel):
    """What one replica serves: voice name to revision."""

    model_config = ConfigDict(from_attributes=True)

    replica: str
    track: Track
    voices: dict[str, str]
    default: str
    loading: dict[str, str] = Field(description="What it is loading in the background.")
    error: str | None = Field(description="Why its last configuration could not be loaded.")


class Traffic(BaseModel):
    """What became of a track's requests since the canary of now appeared."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    requests: int
    errors: int = Field(description="Requests that got no answer; a caller's mistake is not among them.")
    p95_seconds: float | None = Field(
        alias="p95Seconds", description="95th percentile of the time to a whole answer, of the last thousand."
    )


class RevisionList(BaseModel):
    """What every replica serves, and how it fares; there is a canary's traffic only while there is a canary."""

    replicas: list[Replica]
    traffic: dict[Track, Traffic]


class Model(BaseModel):
    """OpenAI's model object; each voice is one."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "kubevoice"


class ModelList(BaseModel):
    """OpenAI's list object."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorBody(BaseModel):
    """OpenAI's error object; `problems` lists every fault found."""

    message: str
    type: str
    code: str
    param: str | None = None
    problems: list[str] = []


class ErrorAnswer(BaseModel):
    """Every error has this body (under /api, only its message: {"error": MESSAGE})."""

    error: ErrorBody
