"""TensorBoard's files, read back from the artifacts as TensorBoard reads them."""

import numpy as np
import pytest
import torch
from kubevoice.storage import connect
from kubevoice_training.finetuning.previews import synthesize_previews
from kubevoice_training.finetuning.tensorboard import TensorBoardWriter, colorize
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import MELS, build_finetuning

TERMS = {"total", "mel", "duration", "pitch", "energy", "alignment"}


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "audio": 0})
    events.Reload()
    return events


def steps(events, kind, tag):
    return [event.step for event in getattr(events, kind)(tag)]


@pytest.fixture
def run(tmp_path):
    def make(recipe):
        run = build_finetuning(tmp_path, recipe | {"sample_every": 3})
        with torch.no_grad():  # so that an untrained voice says something
            run.task.model.variance_adaptor.duration_predictor.fc.bias.fill_(1.0)
        vocoder = Generator(
            GeneratorConfig(
                in_channels=MELS,
                channels=32,
                upsample_scales=(2,) * 4,
                upsample_kernel_sizes=(4,) * 4,
                resblock_kernel_sizes=(3,),
                resblock_dilations=((1,),),
            )
        )
        begun = run.resume()
        run.writer = TensorBoardWriter(
            tmp_path / f"board-{begun}", connect(str(tmp_path / "artifacts")), "board", 24_000, begun
        )
        run.task.synthesize = lambda: synthesize_previews(run.task.model, vocoder, {"neutral": 1, "happy": 5})
        return run

    return make


def test_figures_pictures_and_sounds_lie_beside_the_checkpoints(run, tmp_path):
    run({"max_steps": 8}).train()
    events = read(tmp_path / "artifacts" / "board")
    assert {tag for tag in events.Tags()["scalars"] if tag.startswith("train/")} == {
        f"train/{name}" for name in TERMS | {"gradient_norm", "learning_rate"}
    }
    assert steps(events, "Scalars", "train/total") == list(range(1, 9))
    assert all(steps(events, "Scalars", f"dev/{name}") == [4, 8] for name in TERMS)
    assert events.Scalars("train/learning_rate")[0].value == pytest.approx(1e-3)
    for tag in ("alignment/soft", "alignment/hard", "mel/target", "mel/predicted"):
        assert steps(events, "Images", tag) == [4, 8]
    target, hard = (events.Images(tag)[0] for tag in ("mel/target", "alignment/hard"))
    assert (target.height, target.width) == (160, hard.width)
    for tag in ("audio/neutral", "audio/happy"):
        assert steps(events, "Audio", tag) == [3, 6]
        assert events.Audio(tag)[0].sample_rate == 24_000
        assert events.Audio(tag)[0].length_frames >= 400


def test_steps_that_are_made_again_are_reported_once(run, tmp_path):
    first = run({"max_steps": 8})
    first.on_step = lambda *_: first.writer.publish()
    first.stopping = lambda: first.step == 4
    with pytest.raises(Exception, match="stopped and saved at step 4"):
        first.train()
    first.stopping = lambda: False
    for _ in range(2):  # two steps that no checkpoint knows of, then it is killed
        first._make_step()
    first.writer.publish()
    run({"max_steps": 8}).train()
    assert steps(read(tmp_path / "artifacts" / "board"), "Scalars", "train/total") == list(range(1, 9))


def test_a_picture_has_its_first_row_at_the_bottom_and_goes_from_dark_to_bright():
    image = colorize(np.array([[0.0, 1.0], [2.0, 4.0]], np.float32), 7)
    assert image.shape == (6, 4, 3)
    assert image[-1, 0].tolist() == [68, 1, 84]
    assert image[0, -1].tolist() == [253, 231, 37]
    brightness = [int(image[y, x].sum()) for y, x in ((5, 0), (5, 3), (0, 0), (0, 3))]
    assert brightness == sorted(brightness)
    assert colorize(np.zeros((300, 1), np.float32)).tolist() == [[[68, 1, 84]] * 2] * 300
