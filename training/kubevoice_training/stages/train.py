"""Stage two: features and a base voice in, a fine-tuned checkpoint out."""

from kubevoice.errors import InputError
from kubevoice.resources.stages import TrainResult, TrainSpec
from kubevoice.resources.voicemodel import VocoderMode
from kubevoice.storage import publish_tree
from torch.utils.tensorboard import SummaryWriter

from kubevoice_training.acoustic import Clip
from kubevoice_training.adapt import adapt
from kubevoice_training.checkpoint import VoiceWeights, save_weights
from kubevoice_training.checkpoint_store import CheckpointStore
from kubevoice_training.feature_store import FeatureSet
from kubevoice_training.finetune import Corpus, Finetuning
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

    Raises Interrupted after saving when asked to stop; InputError for a base or features that do not fit.
    """
    if spec.training.vocoder.mode is not VocoderMode.FROZEN:
        raise InputError("spec.training.vocoder.mode FineTune is not supported by this version; set it to Frozen")
    features = fetch_features(spec.features_uri, spec.features_digest, context)
    weights = adapt(fetch_base(spec.base, context), features.speakers, features.emotions)
    store = CheckpointStore(context.artifacts, f"{context.prefix}/steps", context.fresh_folder("scratch"))
    total = spec.training.max_steps
    board = SummaryWriter(str(context.workdir / "tensorboard"))
    run = Finetuning(
        model=weights.acoustic,
        corpus=corpus_of(features, weights),
        training=spec.training,
        store=store,
        board=board,
        on_step=lambda step, loss, dev: context.progress.report(step, total, loss=loss, dev_loss=dev),
        stopping=context.stopping,
    )
    if (begun := run.resume()) > 0:
        print(f"continuing at step {begun} of {total}", flush=True)
    for name, free, size in trainable_table(weights.acoustic):
        print(f"{name:18} {free:>9,} of {size:>9,} parameters trainable", flush=True)
    run.run()
    run.board.close()
    folder = context.fresh_folder("checkpoint")
    save_weights(weights, folder)
    digest = publish_tree(folder, context.artifacts, f"{context.prefix}/checkpoint")
    return TrainResult(
        checkpoint_uri=f"{context.artifacts.uri.rstrip('/')}/{context.prefix}/checkpoint",
        checkpoint_digest=digest,
        step=run.best_step or run.step,
        loss=run.last_loss,
        dev_loss=run.best_loss if run.corpus.dev else None,
    )
