"""Stage two: features and a base voice in, a fine-tuned checkpoint out."""

from dataclasses import dataclass, replace

import numpy as np
from kubevoice.resources.stages import TrainResult, TrainSpec
from kubevoice.resources.voicemodel import VocoderMode
from kubevoice.storage import publish_tree
from numpy.typing import NDArray

from kubevoice_training.features.excitation import compute_excitation
from kubevoice_training.features.feature_store import FeatureSet, Utterance
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_finetuning import (
    AcousticCorpus,
    AcousticFineTuning,
    build_acoustic_loop_config,
)
from kubevoice_training.finetuning.embedding_tables import add_dataset_stats, remap_embeddings
from kubevoice_training.finetuning.loop import TrainingLoop
from kubevoice_training.finetuning.parameter_selection import count_trainable
from kubevoice_training.finetuning.previews import synthesize_previews
from kubevoice_training.finetuning.synthesis_alignment import add_durations
from kubevoice_training.finetuning.tensorboard import TensorBoardWriter
from kubevoice_training.finetuning.vocoder_finetuning import VocoderClip, VocoderFineTuning, build_vocoder_loop_config
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.process_group import ProcessGroup, join_process_group
from kubevoice_training.runtime.torch_compiler import leave_out_compiler
from kubevoice_training.stages.base_weights import fetch_base
from kubevoice_training.stages.context import Context, fetch_features
from kubevoice_training.voice_checkpoint import VoiceWeights, save_weights

__all__ = ["normalize_corpus", "train"]


def normalize_corpus(features: FeatureSet, weights: VoiceWeights) -> AcousticCorpus:
    """Normalise the clips' mels by the base voice's statistics, and look up the rows of its embedding tables.

    Clips with more symbols than frames cannot be aligned and are left out.

    Parameters
    ----------
    features
        The dataset.
    weights
        The voice to train, with the dataset's labels.

    Returns
    -------
    AcousticCorpus
        Clips to train on, held-out clips, and the statistics.
    """
    split: dict[bool, list[TrainingClip]] = {True: [], False: []}
    for u in features.utterances:
        if len(u.ling) < len(u.features.f0):
            rows = weights.emotions[u.emotion], weights.speakers[u.speaker]
            split[u.dev].append(u.to_training_clip(weights.stats, *rows, weights.vocoder.config.source))
    return AcousticCorpus(split[False], split[True], weights.stats)


def _with_durations(
    corpus: AcousticCorpus, weights: VoiceWeights, context: Context, group: ProcessGroup
) -> AcousticCorpus:
    """Add durations to the clips if the model has no aligner to find them."""
    if weights.acoustic.config.alignment:
        return corpus
    clips = add_durations(
        [*corpus.train, *corpus.dev],
        weights.acoustic,
        context.artifacts,
        f"{context.prefix}/durations.npy",
        group,
        context.stopping,
    )
    return replace(corpus, train=clips[: len(corpus.train)], dev=clips[len(corpus.train) :])


def _vocoder_clips(features: FeatureSet, weights: VoiceWeights, *, dev: bool) -> list[VocoderClip]:
    """Return the held-out clips, or the others, as the vocoder learns from them."""

    def vocoder_input(u: Utterance) -> NDArray[np.float32]:
        mel = u.normalize_mel(weights.stats)
        if weights.vocoder.config.source is None:
            return mel
        return np.concatenate([mel, compute_excitation(u.features.f0)], axis=1)

    return [VocoderClip(vocoder_input(u), u.wave) for u in features.utterances if u.dev is dev]


@dataclass(frozen=True, slots=True)
class VoiceTraining:
    """The loops that fine-tune one voice: the acoustic model's and, if the recipe says so, the vocoder's after it.

    Attributes
    ----------
    weights
        The voice, whose networks the loops train.
    acoustic, vocoder
        The loops; the vocoder's is None if it is frozen.
    total
        Number of steps of both.
    """

    weights: VoiceWeights
    acoustic: TrainingLoop
    vocoder: TrainingLoop | None
    total: int

    def resume(self) -> int:
        """Continue from the newest checkpoints.

        Returns
        -------
        int
            Steps made so far, of both loops together.

        Raises
        ------
        KubeVoiceError
            If all checkpoints of a loop are damaged.
        """
        reached = self.acoustic.resume()
        if self.vocoder is not None and (further := self.vocoder.resume()) > 0:
            reached = self.acoustic.config.max_steps + further
        return reached

    def set_writer(self, writer: TensorBoardWriter) -> None:
        """Let both loops write to TensorBoard.

        Parameters
        ----------
        writer
            The writer of the main process.
        """
        self.acoustic.writer = writer
        if self.vocoder is not None:
            self.vocoder.writer = writer

    def train(self) -> None:
        """Train to the end and leave the best weights in the main process's networks."""
        self.acoustic.train()
        if self.vocoder is not None:
            self.vocoder.train()

    def publish(self, context: Context) -> TrainResult:
        """Publish the weights as a checkpoint. Only the main process calls it.

        Parameters
        ----------
        context
            The stage's resources.

        Returns
        -------
        TrainResult
            Where the checkpoint is, its digest, and its losses.
        """
        folder, loop = context.fresh_folder("checkpoint"), self.acoustic
        self.weights.acoustic.cpu()
        self.weights.vocoder.cpu()
        save_weights(self.weights, folder)
        digest = publish_tree(folder, context.artifacts, f"{context.prefix}/checkpoint")
        return TrainResult(
            checkpoint_uri=f"{context.artifacts.uri.rstrip('/')}/{context.prefix}/checkpoint",
            checkpoint_digest=digest,
            step=loop.best_step or loop.step,
            loss=loop.last_loss,
            dev_loss=loop.best_loss if loop.dev_loss is not None else None,
        )


def _prepare_training(spec: TrainSpec, context: Context, group: ProcessGroup) -> VoiceTraining:
    """Fetch features and base voice, and create the loops."""
    features = fetch_features(spec.features_uri, spec.features_digest, context)
    base = add_dataset_stats(fetch_base(spec.base, context), features)
    weights = remap_embeddings(base, features.speakers, features.emotions)
    recipe, scratch = spec.training, context.fresh_folder("scratch")
    trains_vocoder = recipe.vocoder.mode is VocoderMode.FINE_TUNE
    total = recipe.max_steps + (recipe.vocoder.max_steps if trains_vocoder else 0)

    def on_step(step: int, loss: float, dev_loss: float | None) -> None:
        context.progress.report(step, total, loss=loss, dev_loss=dev_loss)

    acoustic = TrainingLoop(
        task=AcousticFineTuning(
            model=weights.acoustic,
            corpus=_with_durations(normalize_corpus(features, weights), weights, context, group),
            recipe=recipe,
            world=group,
            synthesize=lambda: synthesize_previews(weights.acoustic, weights.vocoder, weights.emotions),
        ),
        config=build_acoustic_loop_config(recipe),
        store=CheckpointStore(context.artifacts, f"{context.prefix}/steps", scratch),
        on_step=on_step,
        stopping=context.stopping,
        world=group,
    )
    if not trains_vocoder:
        return VoiceTraining(weights, acoustic, None, total)
    vocoder = TrainingLoop(
        task=VocoderFineTuning(
            generator=weights.vocoder,
            train=_vocoder_clips(features, weights, dev=False),
            dev=_vocoder_clips(features, weights, dev=True),
            mel=weights.mel,
            recipe=recipe,
            world=group,
        ),
        config=build_vocoder_loop_config(recipe),
        store=CheckpointStore(context.artifacts, f"{context.prefix}/vocoder-steps", scratch),
        on_step=lambda step, loss, dev: on_step(recipe.max_steps + step, loss, dev),
        stopping=context.stopping,
        world=group,
    )
    return VoiceTraining(weights, acoustic, vocoder, total)


def train(spec: TrainSpec, context: Context) -> TrainResult:
    """Fine-tune a voice and publish its best checkpoint. Continues where an earlier run of the same spec stopped.

    Parameters
    ----------
    spec
        Features, base voice and recipe.
    context
        The stage's resources.

    Returns
    -------
    TrainResult
        Where the checkpoint is, its digest, and its losses.

    Raises
    ------
    Interrupted
        If the stage was asked to stop. The state was saved.
    InputError
        If the features do not fit the base voice.
    KubeVoiceError
        If a loss is not finite, or another process of the training is lost.
    """
    if context.world.size == 1:
        leave_out_compiler()
    with join_process_group(context.world, context.artifacts, context.prefix, context.stopping) as group:
        training = _prepare_training(spec, context, group)
        if (step := training.resume()) > 0:
            print(f"continuing at step {step} of {training.total}", flush=True)
        for name, trainable, size in count_trainable(training.weights.acoustic):
            print(f"{name:18} {trainable:>9,} of {size:>9,} parameters trainable", flush=True)
        if group.is_main_process:
            folder, rate = context.fresh_folder("tensorboard"), training.weights.mel.sample_rate
            writer = TensorBoardWriter(folder, context.artifacts, f"{context.prefix}/tensorboard", rate, step)
            training.set_writer(writer)
        training.train()
        if group.is_main_process:
            writer.close()
        return group.broadcast(lambda: training.publish(context))
