"""Stage two: features and a base voice in, a fine-tuned checkpoint out."""

from dataclasses import dataclass, replace

import numpy as np
from kubevoice.resources.stages import TrainResult, TrainSpec
from kubevoice.resources.voicemodel import VocoderMode
from kubevoice.storage import publish_tree
from numpy.typing import NDArray

from kubevoice_training.features.excitation import excitation
from kubevoice_training.features.feature_store import FeatureSet, Utterance
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.finetuning.acoustic_finetuning import Corpus, Finetuning
from kubevoice_training.finetuning.embedding_tables import adapt, fit_to
from kubevoice_training.finetuning.parameter_selection import trainable_table
from kubevoice_training.finetuning.previews import spoken
from kubevoice_training.finetuning.synthesis_alignment import timed
from kubevoice_training.finetuning.tensorboard import Board
from kubevoice_training.finetuning.vocoder_finetuning import Recording, VocoderTuning
from kubevoice_training.runtime.checkpoint_store import CheckpointStore
from kubevoice_training.runtime.process_group import together
from kubevoice_training.stages.context import Context, fetch_base, fetch_features
from kubevoice_training.voice_checkpoint import VoiceWeights, save_weights

__all__ = ["train"]


def corpus_of(features: FeatureSet, weights: VoiceWeights) -> Corpus:
    """Normalise clips into the base's space; clips with more symbols than frames cannot be aligned and are left out."""
    split: dict[bool, list[TrainingClip]] = {True: [], False: []}
    for u in features.utterances:
        if len(u.ling) < len(u.features.f0):
            rows = weights.emotions[u.emotion], weights.speakers[u.speaker]
            split[u.dev].append(u.clip(weights.stats, *rows, weights.vocoder.config.source))
    return Corpus(split[False], split[True], weights.stats)


def timed_corpus(corpus: Corpus, weights: VoiceWeights, context: Context) -> Corpus:
    """Give the clips durations if the model cannot find them itself."""
    if weights.acoustic.config.alignment:
        return corpus
    clips = timed(
        [*corpus.train, *corpus.dev],
        weights.acoustic,
        context.artifacts,
        f"{context.prefix}/durations.npy",
        context.world,
        context.stopping,
    )
    return replace(corpus, train=clips[: len(corpus.train)], dev=clips[len(corpus.train) :])


def recordings_of(features: FeatureSet, weights: VoiceWeights, *, dev: bool) -> list[Recording]:
    """Return the clips, held out or not, as the vocoder learns from them."""

    def heard(u: Utterance) -> NDArray[np.float32]:
        mel = u.normalized(weights.stats)
        if weights.vocoder.config.source is None:
            return mel
        return np.concatenate([mel, excitation(u.features.f0)], axis=1)

    return [Recording(heard(u), u.wave) for u in features.utterances if u.dev is dev]


@dataclass(frozen=True, slots=True)
class Trainings:
    """The acoustic model's run, and the vocoder's if it is to be fine-tuned, on the weights of one voice."""

    weights: VoiceWeights
    acoustic: Finetuning
    vocoder: VocoderTuning | None
    total: int
    """Steps of both."""

    @classmethod
    def of(cls, spec: TrainSpec, context: Context) -> "Trainings":
        """Fetch what is learned from, and prepare to learn."""
        features = fetch_features(spec.features_uri, spec.features_digest, context)
        base = fit_to(fetch_base(spec.base, context), features)
        weights = adapt(base, features.speakers, features.emotions)
        recipe, scratch = spec.training, context.fresh_folder("scratch")
        tuned = recipe.vocoder.mode is VocoderMode.FINE_TUNE
        total = recipe.max_steps + (recipe.vocoder.max_steps if tuned else 0)

        def on_step(step: int, loss: float, dev_loss: float | None) -> None:
            context.progress.report(step, total, loss=loss, dev_loss=dev_loss)

        acoustic = Finetuning(
            model=weights.acoustic,
            corpus=timed_corpus(corpus_of(features, weights), weights, context),
            training=recipe,
            store=CheckpointStore(context.artifacts, f"{context.prefix}/steps", scratch),
            on_step=on_step,
            stopping=context.stopping,
            world=context.world,
        )
        if not tuned:
            return cls(weights, acoustic, None, total)
        vocoder = VocoderTuning(
            generator=weights.vocoder,
            train=recordings_of(features, weights, dev=False),
            dev=recordings_of(features, weights, dev=True),
            mel=weights.mel,
            recipe=recipe,
            store=CheckpointStore(context.artifacts, f"{context.prefix}/vocoder-steps", scratch),
            on_step=lambda step, loss, dev: on_step(recipe.max_steps + step, loss, dev),
            stopping=context.stopping,
            world=context.world,
        )
        return cls(weights, acoustic, vocoder, total)

    def resume(self) -> int:
        """Go on from the newest checkpoints; return the step reached."""
        begun = self.acoustic.resume()
        if self.vocoder is not None and (further := self.vocoder.resume()) > 0:
            begun = self.acoustic.training.max_steps + further
        return begun

    def tell(self, board: Board) -> None:
        """Let TensorBoard see them."""
        voice = self.weights
        self.acoustic.board = board
        self.acoustic.speak = lambda: spoken(voice.acoustic, voice.vocoder, voice.emotions)
        if self.vocoder is not None:
            self.vocoder.board = board

    def run(self) -> None:
        """Train to the end; the leading process then has the best weights."""
        self.acoustic.run()
        if self.vocoder is not None:
            self.vocoder.run()

    def result(self, context: Context) -> TrainResult:
        """Publish the weights, as the leading process does."""
        folder, run = context.fresh_folder("checkpoint"), self.acoustic
        self.weights.acoustic.cpu()
        self.weights.vocoder.cpu()
        save_weights(self.weights, folder)
        digest = publish_tree(folder, context.artifacts, f"{context.prefix}/checkpoint")
        return TrainResult(
            checkpoint_uri=f"{context.artifacts.uri.rstrip('/')}/{context.prefix}/checkpoint",
            checkpoint_digest=digest,
            step=run.best_step or run.step,
            loss=run.last_loss,
            dev_loss=run.best_loss if run.corpus.dev else None,
        )


def train(spec: TrainSpec, context: Context) -> TrainResult:
    """Fine-tune and publish the best checkpoint. Continues where an earlier try of the same spec stopped.

    Raises Interrupted after saving when asked to stop; InputError for a base or features that do not fit;
    KubeVoiceError if another process that trains along is lost.
    """
    with together(context.world, context.artifacts, context.prefix, context.stopping):
        trainings = Trainings.of(spec, context)
        if (begun := trainings.resume()) > 0:
            print(f"continuing at step {begun} of {trainings.total}", flush=True)
        for name, free, size in trainable_table(trainings.weights.acoustic):
            print(f"{name:18} {free:>9,} of {size:>9,} parameters trainable", flush=True)
        if context.world.leads:
            folder, rate = context.fresh_folder("tensorboard"), trainings.weights.mel.sample_rate
            board = Board(folder, context.artifacts, f"{context.prefix}/tensorboard", rate, begun)
            trainings.tell(board)
        trainings.run()
        if context.world.leads:
            board.close()
        return context.world.told(lambda: trainings.result(context))
