"""Every fault of a dataset is found at once, with its row; a good one is accepted as people save it."""

import csv
import io
import shutil

import numpy as np
import pytest
import soundfile as sf
from kubevoice.errors import InputError
from kubevoice.storage import connect
from kubevoice.text import FrontEndConfig, analyse
from kubevoice_training.dataset import check_dataset, raise_on_faults

HEAD = "id,text,emotion,wav_path\n"
GOOD = "a,你好,neutral,wavs/a.wav\n"


def tone(path, *, rate=24_000, channels=1, seconds=0.5, level=0.3):
    wave = level * np.sin(np.arange(int(rate * seconds)) * 0.05)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.stack([wave] * channels, axis=1), rate)


@pytest.fixture
def folder(tmp_path):
    """A dataset of one good clip."""
    tone(tmp_path / "wavs" / "a.wav")
    (tmp_path / "metadata.csv").write_text(HEAD + GOOD, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def long_silence(tmp_path_factory):
    """Two hours in a few kilobytes."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    with sf.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(120):
            file.write(np.zeros(16_000 * 60, np.int16))
    return path


def problems(folder, *rows):
    text = HEAD + GOOD + "".join(f"{row}\n" for row in rows)
    (folder / "metadata.csv").write_text(text, encoding="utf-8")
    return check_dataset(connect(str(folder)), {}).problems


def test_a_good_dataset_has_a_digest_of_its_content(folder):
    first = check_dataset(connect(str(folder)), {})
    raise_on_faults(first, "x")
    assert [clip.id for clip in first.clips] == ["a"]
    assert first.per_emotion["neutral"].seconds == 0.5
    tone(folder / "wavs" / "a.wav", seconds=0.6)
    assert check_dataset(connect(str(folder)), {}).digest != first.digest


def test_a_dataset_may_bring_readings_of_its_own(folder):
    (folder / "metadata.csv").write_text(f"{HEAD}a,重庆,neutral,wavs/a.wav\n", encoding="utf-8")
    without = check_dataset(connect(str(folder)), {})
    (folder / "lexicon.txt").write_text("重庆\tzhong4 qing4\n", encoding="utf-8")
    report = check_dataset(connect(str(folder)), {})
    assert report.clips[0].units == analyse("重庆", FrontEndConfig({"重庆": ("zhong4", "qing4")})).sentences[0].units
    assert report.clips[0].units != without.clips[0].units
    assert report.digest != without.digest
    (folder / "lexicon.txt").write_text("重庆\tzhong9\n好\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"lexicon\.txt line 1: 'zhong9'"):
        check_dataset(connect(str(folder)), {})


def test_english_is_read_as_the_voice_knows_it(folder):
    (folder / "metadata.csv").write_text(f"{HEAD}a,我用Windows,neutral,wavs/a.wav\n", encoding="utf-8")
    syllables, phones = (
        check_dataset(connect(str(folder)), {}, english=e).clips[0].units for e in ("syllables", "phones")
    )
    assert phones == analyse("我用Windows", FrontEndConfig(english="phones")).sentences[0].units
    assert phones != syllables


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends_do_not_matter(folder, mark, end):
    (folder / "metadata.csv").write_bytes((mark + HEAD + GOOD).replace("\n", end).encode())
    assert check_dataset(connect(str(folder)), {}).problems == []


def test_text_with_commas_and_quotes_is_read(folder):
    out = io.StringIO()
    csv.writer(out).writerow(["b", '他说,"你好"', "happy", "wavs/a.wav"])
    assert problems(folder, out.getvalue().strip()) == []


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("b,你好,neutral,wavs/b.wav", "wavs/b.wav: there is no such file"),
        ("b,你好,neutral,wavs/broken.wav", "cannot be read as sound"),
        ("b,你好,neutral,wavs/cut.wav", "copy it again"),
        ("b,你好,neutral,wavs/low.wav", "is sampled at 8000 Hz"),
        ("b,你好,neutral,wavs/two.wav", "has 2 channels"),
        ("b,你好,neutral,wavs/silent.wav", "is silent"),
        ("b,你好,neutral,wavs/empty.wav", "is empty (0 bytes)"),
        ("b,你好,neutral,wavs/nan.wav", "not numbers"),
        ("b,你好,neutral,wavs/long.flac", "lasts 7200.00 s"),
        ("=1+1,你好,neutral,wavs/a.wav", "'=1+1' is not usable"),
        ("b,你好,hapy,wavs/a.wav", "did you mean 'happy'?"),
        ("b,你好,,wavs/a.wav", "the emotion is empty"),
        ("b,你好,very happy,wavs/a.wav", "map it in spec.dataset.emotions"),
        ("b,hello!,neutral,wavs/a.wav", "'hello!' has no Mandarin"),
        ("b,,neutral,wavs/a.wav", "nothing that can be spoken"),
        ("b,你好,neutral,../a.wav", "leaves the dataset"),
        ("b,你好,neutral,/etc/passwd", "leaves the dataset"),
        ("b,你好,neutral,wavs/link.wav", "symbolic link"),
        ("b b,你好,neutral,wavs/a.wav", "is not usable"),
        ("a,再见,neutral,wavs/a.wav", "used by another row"),
    ],
)
def test_each_fault_is_named_with_its_row(folder, row, complaint, long_silence):
    wavs = folder / "wavs"
    (wavs / "broken.wav").write_bytes(b"no sound at all")
    tone(wavs / "cut.wav", seconds=2)
    (wavs / "cut.wav").write_bytes((wavs / "cut.wav").read_bytes()[:20_000])
    tone(wavs / "low.wav", rate=8000)
    tone(wavs / "two.wav", channels=2)
    tone(wavs / "silent.wav", level=0.0)
    (wavs / "empty.wav").touch()
    sf.write(wavs / "nan.wav", np.full(24_000, np.nan), 24_000, subtype="FLOAT")
    shutil.copyfile(long_silence, wavs / "long.flac")
    tone(folder.with_name(f"{folder.name}-outside.wav"))
    (wavs / "link.wav").symlink_to(folder.with_name(f"{folder.name}-outside.wav"))
    faults = [p for p in problems(folder, row) if p.startswith("metadata.csv row 2")]
    assert len(faults) == 1
    assert complaint in faults[0]


@pytest.mark.parametrize(
    ("rows", "complaints"),
    [
        (
            ['b,"你好,neutral,wavs/a.wav', 'c,再见",happy,wavs/a.wav'],
            ["line 3: the quotation mark that opens here closes"],
        ),
        (
            ['"b,你好,neutral,wavs/a.wav', 'c,再见,happy,wavs/a.wav"'],
            ["line 3: the quotation mark that opens here closes"],
        ),
        (
            ["", 'b,"你好', "", '再见",neutral,wavs/a.wav', "c,再见,hapy,wavs/a.wav"],
            ["line 4: the quotation mark that opens here closes in line 6", "row 3 (id c): emotion 'hapy'"],
        ),
        (["b,你好,朋友,neutral,wavs/a.wav"], ["row 2: has 5 fields, but the first line names 4"]),
    ],
)
def test_rows_that_run_together_or_fall_apart_are_faults_where_they_begin(folder, rows, complaints):
    faults = problems(folder, *rows)
    assert len(faults) == len(complaints)
    for fault, complaint in zip(faults, complaints, strict=True):
        assert fault.startswith(f"metadata.csv {complaint}")


def test_a_quotation_mark_that_is_never_closed_is_a_fault_where_it_opens(folder):
    with pytest.raises(InputError, match=r"metadata\.csv line 4: the quotation mark that opens here is never closed"):
        problems(folder, "b,再见,neutral,wavs/a.wav", 'c,"你好,neutral,wavs/a.wav', "d,再见,happy,wavs/a.wav")


def test_all_bad_rows_are_reported_in_one_go(folder):
    faults = problems(folder, "b,你好,neutral,wavs/b.wav", "c,abc,neutral,wavs/a.wav", "d,你好,hapy,../x")
    assert [p.split(":")[0] for p in faults] == [
        "metadata.csv row 2 (id b)",
        "metadata.csv row 3 (id c)",
        "metadata.csv row 4 (id d)",
        "metadata.csv row 4 (id d)",
    ]
    with pytest.raises(InputError) as caught:
        raise_on_faults(check_dataset(connect(str(folder)), {}), "demo")
    assert caught.value.problems == tuple(faults)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "has no metadata.csv"),
        (b"", "has no column id"),
        (HEAD.encode(), "has no rows"),
        (b"id,text\na,b\n", "has no column emotion, wav_path"),
        ("id,text,emotion,wav_path\na,你".encode("gbk"), "is not UTF-8"),
        (b'id,text,emotion,wav_path\n"a"b,c\n', "line 2: this is not valid CSV"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused(folder, data, complaint):
    (folder / "metadata.csv").unlink()
    if data is not None:
        (folder / "metadata.csv").write_bytes(data)
    with pytest.raises(InputError, match=complaint):
        check_dataset(connect(str(folder)), {})


def test_labels_are_mapped_to_emotions_of_the_voice(folder):
    (folder / "metadata.csv").write_text(HEAD + GOOD.replace("neutral", "joy"), encoding="utf-8")
    assert [clip.emotion for clip in check_dataset(connect(str(folder)), {"joy": "happy"}).clips] == ["happy"]
    assert "no voice knows" in check_dataset(connect(str(folder)), {"joy": "hapyy"}).problems[0]


def test_labels_are_taken_as_chinese_teams_write_them(folder):
    rows = [
        f"{name},你好,{label},wavs/a.wav" for name, label in zip("bcde", ["开心", "Neutral", "撒娇", "笑"], strict=True)
    ]
    (folder / "metadata.csv").write_text(HEAD + "\n".join(rows), encoding="utf-8")
    report = check_dataset(connect(str(folder)), {"笑": "开心"})
    assert report.problems == []
    assert [clip.emotion for clip in report.clips] == ["happy", "neutral", "撒娇", "happy"]
    assert report.labels == {"开心": "happy", "Neutral": "neutral", "撒娇": "撒娇", "笑": "happy"}


def test_a_label_like_a_known_one_is_taken_if_it_is_mapped_to_itself(folder):
    (folder / "metadata.csv").write_text(HEAD + GOOD.replace("neutral", "hapy"), encoding="utf-8")
    assert [clip.emotion for clip in check_dataset(connect(str(folder)), {"hapy": "hapy"}).clips] == ["hapy"]
