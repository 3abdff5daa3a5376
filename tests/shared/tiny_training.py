"""Fine-tuning small enough to run many times: a small untrained network, clips of noise, and child processes.

The processes come from a fork server that has imported and compiled everything, so each starts within a second.
"""

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from kubevoice.audio.mel import MelConfig, log_mel
from kubevoice.resources.training import Recipe
from kubevoice.storage import connect
from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_finetuning import (
    AcousticCorpus,
    AcousticFineTuning,
    build_acoustic_loop_config,
)
from kubevoice_training.finetuning.loop import TrainingLoop
from kubevoice_training.finetuning.vocoder_finetuning import VocoderClip, VocoderFineTuning, build_vocoder_loop_config
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.hifigan import Generator, GeneratorConfig
from kubevoice_training.models.sambert import Sambert
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.interruption import Interrupted
from kubevoice_training.runtime.process_group import ProcessGroup, join_process_group
from kubevoice_training.runtime.world import World

MELS = 8
CONFIG = SambertConfig(
    embedding=32,
    units=16,
    heads=2,
    encoder_layers=1,
    encoder_inner=32,
    projection=8,
    speaker_units=8,
    emotion_units=8,
    predictor_layers=1,
    predictor_inner=16,
    predictor_memory=16,
    predictor_lstm=8,
    filter_size=5,
    duration_prenet=(8, 8),
    decoder_layers=2,
    decoder_inner=32,
    decoder_prenet=(8, 8),
    n_mels=MELS,
    postnet_layers=1,
    postnet_inner=16,
    postnet_memory=16,
    postnet_shift=1,
    postnet_lstm=8,
)


def make_clip(rng):
    """Return a clip of 4 to 8 symbols and 12 to 40 frames."""
    symbols, frames = int(rng.integers(4, 9)), int(rng.integers(12, 41))
    ling = np.stack([rng.integers(0, n - 3, symbols) for n in (CONFIG.sy, CONFIG.tone, 8, 8)], axis=1)
    mel = rng.standard_normal((frames, MELS)).astype(np.float32)
    f0 = np.where(rng.random(frames) < 0.7, rng.uniform(80, 300, frames), 0.0).astype(np.float32)
    return TrainingClip(ling, int(rng.integers(0, 4)), 0, mel, f0, rng.random(frames).astype(np.float32))


def make_corpus():
    """Return twelve clips to train on and three held-out clips."""
    rng = np.random.default_rng(7)
    clips = [make_clip(rng) for _ in range(15)]
    stats = Stats(np.zeros(MELS, np.float32), np.ones(MELS, np.float32), 180.0, 60.0, 0.5, 0.3)
    return AcousticCorpus(clips[:12], clips[12:], stats)


def make_network():
    """Return a small network, equal on every call."""
    torch.manual_seed(3)
    return Sambert(CONFIG)


class LossLog:
    """Writes the exact losses of each step into a file, which remains when the process ends."""

    def __init__(self, path):
        self.path = Path(path)

    def append(self, step, loss, dev_loss):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{step} {loss.hex()} {dev_loss.hex() if dev_loss is not None else '-'}\n")

    def lines(self):
        """Return all lines; a repeated step has several."""
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []

    def last_step(self):
        """Return the last step written."""
        return int(self.lines()[-1].split()[0]) if self.lines() else 0


def build_finetuning(folder, recipe, model=None, world=None, **more):
    """Return a training loop of the small network, with checkpoints and loss log in `folder`."""
    torch.set_num_threads(1)
    folder = Path(folder)
    folder.mkdir(exist_ok=True, parents=True)
    settings = {"batch_size": 4, "learning_rate": 1e-3, "save_every": 4, "trainable": ("all",)}
    recipe, world = Recipe(**settings | recipe), world or ProcessGroup()
    return TrainingLoop(
        task=AcousticFineTuning(model if model is not None else make_network(), make_corpus(), recipe, world),
        config=build_acoustic_loop_config(recipe),
        world=world,
        store=CheckpointStore(connect(str(folder / "artifacts")), "steps", folder),
        **{"on_step": LossLog(folder / "loss-log").append, "stopping": lambda: False} | more,
    )


def train(folder, recipe):
    """Resume training from the last checkpoint, train to the end, and write `weights.pt`."""
    run = build_finetuning(folder, recipe)
    run.resume()
    run.train()
    torch.save(run.task.model.state_dict(), Path(folder) / "weights.pt")


def start_process(target, *arguments):
    """Start a process that calls `target(*arguments)`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tiny_training"])
    child = context.Process(target=target, args=arguments)
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # the fork server has the same import path
        child.start()
    return child


class DeterministicSambert(Sambert):
    """A network without randomness, because it never enters training mode."""

    def train(self, *_):
        return super().train(mode=False)


def train_rank(folder, recipe, rank, size):
    """Train as rank `rank` of `size`. After SIGTERM it saves, and exits with 143."""
    folder, stop = Path(folder), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    torch.manual_seed(3)
    rank_folder = folder if rank == 0 else folder / str(rank)
    world, artifacts = World(rank, size), connect(str(folder / "artifacts"))
    with join_process_group(world, artifacts, "steps", stop.is_set) as group:
        run = build_finetuning(rank_folder, recipe, DeterministicSambert(CONFIG), world=group, stopping=stop.is_set)
        run.resume()
        try:
            run.train()
        except Interrupted:
            sys.exit(143)


def build_vocoder_finetuning(folder, recipe, world=None, **more):
    """Return a training loop of a small generator on half seconds of sine waves."""
    torch.set_num_threads(1)
    folder, mel, rng = Path(folder), MelConfig(), np.random.default_rng(11)
    folder.mkdir(exist_ok=True, parents=True)
    time = np.arange(14_000) / mel.sample_rate
    waves = [(0.4 * np.sin(2 * np.pi * rng.uniform(100, 300) * time)).astype(np.float32) for _ in range(5)]
    clips = [VocoderClip(log_mel(wave, mel), (wave * 32767).astype(np.int16)) for wave in waves]
    torch.manual_seed(5)
    sizes = {"upsample_scales": (8, 5, 3, 2), "upsample_kernel_sizes": (16, 10, 6, 4)}
    blocks = {"resblock_kernel_sizes": (3,), "resblock_dilations": ((1,),)}
    vocoder = {"mode": "FineTune", "max_steps": recipe.pop("max_steps")}
    recipe, world = Recipe(vocoder=vocoder, **{"batch_size": 3, "save_every": 2, **recipe}), world or ProcessGroup()
    return TrainingLoop(
        task=VocoderFineTuning(
            generator=Generator(GeneratorConfig(channels=16, **sizes, **blocks)),
            train=clips[:4],
            dev=clips[4:],
            mel=mel,
            recipe=recipe,
            world=world,
        ),
        config=build_vocoder_loop_config(recipe),
        store=CheckpointStore(connect(str(folder / "artifacts")), "vocoder-steps", folder),
        world=world,
        **{"on_step": LossLog(folder / "loss-log").append, "stopping": lambda: False} | more,
    )


def tune_vocoder_rank(folder, recipe, rank, size):
    """Fine-tune a vocoder as rank `rank` of `size`."""
    world, rank_folder = World(rank, size), Path(folder) / str(rank)
    with join_process_group(world, connect(str(folder)), "meeting", lambda: False) as group:
        build_vocoder_finetuning(rank_folder, recipe, group).train()
