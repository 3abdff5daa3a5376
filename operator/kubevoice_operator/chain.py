"""The three stages of a revision as a chain: each is named by what it reads, so each waits for the one before."""

from dataclasses import dataclass

from kubevoice.resources.stages import (
    PrepareResult,
    PrepareSpec,
    ReleaseResult,
    ReleaseSpec,
    Stage,
    TrainResult,
    TrainSpec,
    spec_key,
)
from kubevoice.resources.voicemodel import StorageSpec, VoiceModel

from kubevoice_operator.observe import JobObservation, Observed

__all__ = ["Chain", "Step", "voice_folder", "voice_storage", "walk"]

Spec = PrepareSpec | TrainSpec | ReleaseSpec


@dataclass(frozen=True, slots=True)
class Step:
    """One stage whose inputs are known: its spec, its Job's name, and the Job if it was made."""

    stage: Stage
    spec: Spec
    job_name: str
    job: JobObservation | None


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a revision is: the steps whose inputs are known, the last of them open unless all are done."""

    steps: tuple[Step, ...]
    prepared: PrepareResult | None = None
    trained: TrainResult | None = None
    released: ReleaseResult | None = None

    @property
    def last(self) -> Step:
        """The step that is next, running, failed, or the last one done."""
        return self.steps[-1]


def voice_folder(model: VoiceModel) -> str:
    """Return the folder of a voice, relative to artifactsUri: whatever is made for it lies there and nothing else."""
    return f"{model.metadata.namespace}/{model.metadata.name}"


def voice_storage(model: VoiceModel) -> StorageSpec:
    """Return the storage with its artifacts in the voice's own folder."""
    storage = model.spec.storage
    return storage.model_copy(update={"artifacts_uri": f"{storage.artifacts_uri.rstrip('/')}/{voice_folder(model)}"})


def _step(model: VoiceModel, observed: Observed, stage: Stage, spec: Spec) -> Step:
    name = f"{model.metadata.name}-{stage}-{spec_key(stage, spec)[:10]}"
    return Step(stage, spec, name, observed.jobs.get(name))


def walk(model: VoiceModel, observed: Observed) -> Chain:
    """Follow the stages as far as results are there."""
    spec, storage = model.spec, voice_storage(model)
    prepare = _step(
        model,
        observed,
        Stage.PREPARE,
        PrepareSpec(
            dataset=spec.dataset,
            base=spec.base,
            storage=storage,
            dev_fraction=spec.training.dev_fraction,
            seed=spec.training.seed,
            dataset_version=observed.dataset,
        ),
    )
    prepared = prepare.job.result(PrepareResult) if prepare.job else None
    if prepared is None:
        return Chain((prepare,))
    train = _step(
        model,
        observed,
        Stage.TRAIN,
        TrainSpec(
            features_uri=prepared.features_uri,
            features_digest=prepared.features_digest,
            base=spec.base,
            storage=storage,
            training=spec.training.recipe(),
        ),
    )
    trained = train.job.result(TrainResult) if train.job else None
    if trained is None:
        return Chain((prepare, train), prepared)
    release = _step(
        model,
        observed,
        Stage.RELEASE,
        ReleaseSpec(
            name=model.metadata.name,
            features_uri=prepared.features_uri,
            features_digest=prepared.features_digest,
            dataset_digest=prepared.dataset_digest,
            checkpoint_uri=trained.checkpoint_uri,
            checkpoint_digest=trained.checkpoint_digest,
            base=spec.base,
            storage=storage,
            evaluation=spec.evaluation,
        ),
    )
    released = release.job.result(ReleaseResult) if release.job else None
    return Chain((prepare, train, release), prepared, trained, released)
