"""Reading a whole dataset: every fault of every row in one go, or its clips."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kubevoice.digests import hash_json, hash_text
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.resources.stages import EmotionSeconds
from kubevoice.resources.voicemodel import PinyinTones
from kubevoice.storage import Storage
from kubevoice.text import LEXICON_FILE, FrontEndConfig, Unit, has_neutral_tones, read_lexicon
from kubevoice.text.emotion_labels import resolve_emotion
from kubevoice.text.front_end_config import English

from kubevoice_training.dataset.faults import MAX_AUDIO_BYTES, Waveform, decode_audio, find_row_faults
from kubevoice_training.dataset.kantts import EMOTION_TAGS, PROSODY, read_prosody
from kubevoice_training.dataset.labels import UnitLabeler
from kubevoice_training.dataset.rows import METADATA, Clip, DatasetRow, decode_text, read_rows

__all__ = ["DatasetReport", "check_dataset", "raise_on_faults"]

MAX_METADATA_BYTES = 64 << 20
FEW_CLIPS = 10
DEFAULT_SPEAKER = "default"

ClipVisitor = Callable[[Clip, Waveform], None]
RowCallback = Callable[[int, int], None]


@dataclass(slots=True)
class DatasetReport:
    """The result of a dataset check. `check_dataset` fills it; nothing changes it afterwards.

    Attributes
    ----------
    clips : All rows without faults.
    problems : One message for each fault; empty if the dataset can be used.
    warnings : Advice that does not keep the dataset from being used.
    digest : Names the content of every file that was read (sha256:...).
    lexicon : Content of the dataset's lexicon.txt; empty if it has none.
    labels : The emotion that each label of the clips means.
    """

    clips: list[Clip] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""
    lexicon: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length of all clips together."""
        return sum(clip.seconds for clip in self.clips)

    @property
    def per_emotion(self) -> dict[str, EmotionSeconds]:
        """Clips and seconds of each emotion."""
        lengths: dict[str, list[float]] = defaultdict(list)
        for clip in self.clips:
            lengths[clip.emotion].append(clip.seconds)
        return {label: EmotionSeconds(clips=len(s), seconds=round(sum(s), 2)) for label, s in lengths.items()}


class _DatasetReader:
    """Reads files of a dataset and remembers their digests."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.sizes = {item.key: item.size for item in storage.list()}
        self.hashes: dict[str, str] = {}

    def read(self, key: str) -> bytes:
        data = self.storage.read(key)
        self.hashes[key] = hash_text(data)
        return data

    def read_text(self, key: str) -> bytes:
        """Read a file of text; InputError if it is too large to be one."""
        if self.sizes[key] > MAX_METADATA_BYTES:
            raise InputError(
                f"{self.storage.uri}/{key} is larger than {MAX_METADATA_BYTES >> 20} MiB; split the dataset"
            )
        return self.read(key)

    def read_audio(self, key: str) -> Waveform:
        if key not in self.sizes:
            raise InputError("there is no such file")
        if self.sizes[key] > MAX_AUDIO_BYTES:
            raise InputError(f"is larger than {MAX_AUDIO_BYTES >> 20} MiB")
        return decode_audio(self.read(key))

    @property
    def digest(self) -> str:
        """Name the content of everything read."""
        return f"sha256:{hash_json(self.hashes)}"


def _read_rows(reader: _DatasetReader) -> list[DatasetRow]:
    if METADATA in reader.sizes:
        return read_rows(reader.read_text(METADATA))
    if PROSODY in reader.sizes:
        tags = reader.read_text(EMOTION_TAGS) if EMOTION_TAGS in reader.sizes else b""
        return read_prosody(reader.read_text(PROSODY), tags)
    raise InputError(f"{reader.storage.uri} has no {METADATA}; name the folder that holds it and the recordings")


def _read_lexicon_text(reader: _DatasetReader) -> str:
    return decode_text(reader.read_text(LEXICON_FILE), LEXICON_FILE) if LEXICON_FILE in reader.sizes else ""


def check_dataset(
    storage: Storage,
    emotions: Mapping[str, str],
    visit: ClipVisitor | None = None,
    on_row: RowCallback = lambda _number, _count: None,
    *,
    english: English = "syllables",
    tones: PinyinTones = PinyinTones.AS_SPOKEN,
) -> DatasetReport:
    """Read the whole dataset and report every fault of every row.

    Parameters
    ----------
    storage : The dataset's folder.
    emotions : The emotion that labels of the dataset mean, before the usual meanings (`resolve_emotion`).
    visit : Called with each good clip and its waveform, while the recording is in memory.
    on_row : Called for each row with its number, from 1, and the number of rows.
    english : How the voice to be trained reads English.
    tones : Whether pinyin of the dataset's own has the dictionary's tones or those after tone sandhi.

    Returns
    -------
    DatasetReport
        Clips, problems and warnings; it has no problems if the dataset can be used.

    Raises
    ------
    InputError
        If there is no dataset, or its lexicon is wrong.
    KubeVoiceError
        If the storage cannot be reached.
    """
    reader, report = _DatasetReader(storage), DatasetReport()
    rows = _read_rows(reader)
    report.lexicon = _read_lexicon_text(reader)
    lexicon = read_lexicon(report.lexicon, LEXICON_FILE)
    front_end_config = FrontEndConfig(lexicon, english, strict=True, neutral_tones=has_neutral_tones(report.lexicon))
    labeler = UnitLabeler(front_end_config, tones)
    repeated = {name for name, count in Counter(row.fields["id"] for row in rows).items() if count > 1 and name}
    for number, row in enumerate(rows, 1):
        on_row(number, len(rows))
        if row.fault:
            report.problems.append(f"{row}: {row.fault}")
            continue
        faults = list(find_row_faults(row, emotions))
        units: tuple[Unit, ...] = ()
        try:
            units = labeler.label(row)
        except InputError as error:
            faults.append(str(error))
        path = row.fields["wav_path"]
        if row.fields["id"] in repeated:
            faults.append("the id is used by another row too")
        if path and not any(fault.startswith("wav_path") for fault in faults):
            try:
                waveform = reader.read_audio(path)
                if not faults:
                    report.clips.append(clip := _build_clip(row, waveform, units, emotions))
                    report.labels[row.fields["emotion"]] = clip.emotion
                    if visit is not None:
                        visit(clip, waveform)
            except InputError as error:
                faults.append(f"{path}: {error}")
        report.problems += [f"{row}: {fault}" for fault in faults]
    report.digest = reader.digest
    report.warnings = list(_find_warnings(report, set(reader.sizes) - set(reader.hashes)))
    return report


def _build_clip(row: DatasetRow, waveform: Waveform, units: tuple[Unit, ...], emotions: Mapping[str, str]) -> Clip:
    fields = row.fields
    return Clip(
        id=fields["id"],
        text=fields["text"],
        emotion=resolve_emotion(fields["emotion"], emotions),
        speaker=fields["speaker"] or DEFAULT_SPEAKER,
        path=fields["wav_path"],
        seconds=waveform.seconds,
        place=row.place,
        units=units,
    )


def _find_warnings(report: DatasetReport, unused: set[str]) -> Iterator[str]:
    for label, share in report.per_emotion.items():
        if share.clips < FEW_CLIPS:
            yield f"emotion {label} has only {share.clips} clips; {FEW_CLIPS} or more are learned better"
    sounds = sorted(name for name in unused if name.lower().endswith((".wav", ".flac", ".ogg")))
    if sounds:
        yield f"{len(sounds)} sound files are in no row, such as {sounds[0]}"


def raise_on_faults(report: DatasetReport, where: str) -> None:
    """Raise an error if the dataset cannot be used.

    Parameters
    ----------
    report : The result of `check_dataset`.
    where : The dataset's URI, for messages.

    Raises
    ------
    InputError
        If there are problems; it lists all of them.
    KubeVoiceError
        If there is no clip.
    """
    if report.problems:
        raise InputError(f"dataset {where} has {len(report.problems)} problems", report.problems)
    if not report.clips:
        raise KubeVoiceError(f"dataset {where} has no usable clip")
