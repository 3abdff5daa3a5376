"""Stage two: features and a base voice in, a fine-tuned checkpoint out."""

from kubevoice.errors import InputError
from kubevoice.resources.stages import TrainResult, TrainSpec
from kubevoice.resources.voicemodel import VocoderMode
from kubevoice.storage import publish_tree

from kubevoice_training.acoustic import Clip
from kubevoice_training.adapt import adapt
from kubevoice_training.boards import Board
from kubevoice_training.checkpoint import VoiceWeights, save_weights
from kubevoice_training.checkpoint_store import CheckpointStore
from kubevoice_training.distributed import together
from kubevoice_training.feature_store import FeatureSet
from kubevoice_training.finetune import Corpus, Finetuning
from kubevoice_training.samples import spoken
from kubevoice_training.stages.context import Context, fetch_base, fetch_features
from kubevoice_training.trainable import trainable_table

__all__ = ["train"]


def corpus_of(features: FeatureSet, weights: VoiceWeights) -> Corpus:
    """Normalise clips into the base's space; clips with more symbols than frames cannot be aligned and are left out."""
    split: dict[bool, list[Clip]] = {True: [], False: []}
    for u in features.utterances:
        if len(u.ling) < len(u.features.f0):
            clip = u.clip(weights.stats, weights.emotions[u.emotion], weights.speakers[u.speaker])
            split[u.dev].append(clip)
    return Corpus(split[False], split[True], weights.stats)


def train(spec: TrainSpec, context: Context) -> TrainResult:
    """Fine-tune and publish the best checkpoint. Continues where an earlier try of the same spec stopped.

    Raises Interrupted after saving when asked to stop; InputError for a base or features that do not fit;
    KubeVoiceError if another process that trains along is lost.
    """
    with together(context.world, context.artifacts, context.prefix, context.stopping):
        return _train(spec, context)


def _train(spec: TrainSpec, context: Context) -> TrainResult:
    if spec.training.vocoder.mode is not VocoderMode.FROZEN:
        raise InputError("spec.training.vocoder.mode FineTune is not supported by this version; set it to Frozen")
    features = fetch_features(spec.features_uri, spec.features_digest, context)
    weights = adapt(fetch_base(spec.base, context), features.speakers, features.emotions)
    store = CheckpointStore(context.artifacts, f"{context.prefix}/steps", context.fresh_folder("scratch"))
    total = spec.training.max_steps
    run = Finetuning(
        model=weights.acoustic,
        corpus=corpus_of(features, weights),
        training=spec.training,
        store=store,
        on_step=lambda step, loss, dev: context.progress.report(step, total, loss=loss, dev_loss=dev),
        stopping=context.stopping,
        world=context.world,
    )
    begun = run.resume()
    if context.world.leads:
        folder, rate = context.workdir / "tensorboard", weights.mel.sample_rate
        run.board = Board(folder, context.artifacts, f"{context.prefix}/tensorboard", rate, begun)
        run.speak = lambda: spoken(weights.acoustic, weights.vocoder, weights.emotions)
    if begun > 0:
        print(f"continuing at step {begun} of {total}", flush=True)
    for name, free, size in trainable_table(weights.acoustic):
        print(f"{name:18} {free:>9,} of {size:>9,} parameters trainable", flush=True)
    run.run()
    if run.board is not None:
        run.board.close()
    return context.world.told(lambda: _publish(weights, run, context))


def _publish(weights: VoiceWeights, run: Finetuning, context: Context) -> TrainResult:
    folder = context.fresh_folder("checkpoint")
    weights.acoustic.cpu()
    save_weights(weights, folder)
    digest = publish_tree(folder, context.artifacts, f"{context.prefix}/checkpoint")
    return TrainResult(
        checkpoint_uri=f"{context.artifacts.uri.rstrip('/')}/{context.prefix}/checkpoint",
        checkpoint_digest=digest,
        step=run.best_step or run.step,
        loss=run.last_loss,
        dev_loss=run.best_loss if run.corpus.dev else None,
    )
