import io
import struct
import wave

import av
import numpy as np
import pytest
import soundfile
from kubevoice.audio.encode import CONTENT_TYPES, FORMATS, encode_audio, open_encoder, to_pcm16
from kubevoice.errors import InputError

RATE = 24000


def tone(seconds=1.0, hertz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def decode(data):
    """Decode with FFmpeg, as a listener would: samples, rate and container."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert stream.layout.nb_channels == 1
        to_mono = av.AudioResampler("s16", "mono", stream.rate)
        frames = [f for frame in container.decode(stream) for f in to_mono.resample(frame)]
        return np.concatenate([f.to_ndarray()[0] for f in frames]) / 32768, stream.rate, container.format.name


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_lossless_formats_return_every_sample(audio_format):
    samples = tone()
    read, rate = soundfile.read(io.BytesIO(encode_audio(samples, RATE, audio_format)), dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(read, to_pcm16(samples) / 32768)


@pytest.mark.parametrize(
    ("audio_format", "container", "rate"),
    [("mp3", "mp3", RATE), ("opus", "ogg", 48000), ("aac", "aac", RATE)],
)
def test_lossy_formats_keep_pitch_level_and_length(audio_format, container, rate):
    samples, got_rate, got_container = decode(encode_audio(tone(2.0), RATE, audio_format))
    assert (got_rate, got_container) == (rate, container)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)  # mp3 and aac pad to whole frames
    middle = samples[rate // 2 : rate // 2 + rate]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(440, abs=1)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


def test_pcm_is_headerless_little_endian():
    assert encode_audio([0.0, 0.5, -0.5], RATE, "pcm") == b"\x00\x00\x00\x40\x00\xc0"


def test_wav_header_tells_its_real_size():
    data = encode_audio(tone(), RATE, "wav")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == RATE * 2


def encode_stream(samples, audio_format):
    encoder = open_encoder(RATE, audio_format)
    return b"".join([encoder.push(samples[:1000]), encoder.push(samples[1000:]), encoder.finish()])


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_players_read_a_stream_of_unknown_length_to_its_end(audio_format):
    samples = tone()
    decoded, rate, container = decode(encode_stream(samples, audio_format))
    assert (rate, container) == (RATE, audio_format)
    np.testing.assert_array_equal(decoded, to_pcm16(samples) / 32768)


def test_a_streamed_wav_has_sizes_that_are_positive_as_signed_numbers():
    data = encode_stream(tone(), "wav")
    riff, size = struct.unpack_from("<i", data, 4)[0], struct.unpack_from("<i", data, 40)[0]
    assert (riff, size) == (0x7FFFF024, 0x7FFFF000)
    with wave.open(io.BytesIO(data)) as file:
        assert len(file.readframes(RATE * 2)) == 2 * RATE


def test_a_streamed_flac_has_an_unknown_number_of_samples():
    data = encode_stream(tone(), "flac")
    assert data[:5] == b"fLaC\x00"  # STREAMINFO comes first
    assert int.from_bytes(data[21:26], "big") & 0xF_FFFF_FFFF == 0


def test_too_loud_samples_are_held_at_full_scale():
    assert to_pcm16([1.0, 2.5, -1.0, -3.0, 1e9]).tolist() == [32767, 32767, -32768, -32768, 32767]


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_takes_every_voice_rate(audio_format, rate):
    assert len(encode_audio(tone()[: rate // 4], rate, audio_format)) > 500


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac"])
def test_long_speech_is_encoded_to_its_end(audio_format):
    samples, rate, _ = decode(encode_audio(np.tile(tone(), 150), RATE, audio_format))
    assert len(samples) / rate == pytest.approx(150, abs=0.1)
    assert np.abs(samples[-rate:]).max() > 0.4


def test_every_format_has_a_media_type():
    assert set(CONTENT_TYPES) == set(FORMATS) == {"wav", "mp3", "flac", "opus", "aac", "pcm"}


def test_unknown_format_is_named():
    with pytest.raises(InputError, match=r"'vorbis'.*wav"):
        encode_audio([0.0], RATE, "vorbis")
