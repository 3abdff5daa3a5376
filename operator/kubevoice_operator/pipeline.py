"""The stages that make a revision. Each is named by the hash of its inputs, so it waits for the one before.

Without a dataset there is one, which releases the base voice as it is.
"""

from dataclasses import dataclass

from kubevoice.resources.stages import (
    BaseVoiceReleaseSpec,
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

from kubevoice_operator.observed_state import ObservedJob, ObservedState

__all__ = ["Pipeline", "PipelineStep", "resolve_pipeline", "voice_folder", "voice_storage"]

Spec = PrepareSpec | TrainSpec | ReleaseSpec | BaseVoiceReleaseSpec


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """A stage whose inputs are known: its spec, its Job's name, and the Job if it exists."""

    stage: Stage
    spec: Spec
    job_name: str
    job: ObservedJob | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps whose inputs are known, in order, and the results of those that succeeded."""

    steps: tuple[PipelineStep, ...]
    prepared: PrepareResult | None = None
    trained: TrainResult | None = None
    released: ReleaseResult | None = None

    @property
    def last(self) -> PipelineStep:
        """The step that is next, running or failed; the release step once all have succeeded."""
        return self.steps[-1]

    @property
    def failed_step(self) -> PipelineStep | None:
        """The last step if its Job ended without a usable result; None otherwise."""
        job = self.last.job
        return self.last if self.released is None and job is not None and not job.active else None


def voice_folder(model: VoiceModel) -> str:
    """Return the folder of a voice, relative to artifactsUri: all its artifacts are there and nothing else is.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    str
        NAMESPACE/NAME.
    """
    return f"{model.metadata.namespace}/{model.metadata.name}"


def voice_storage(model: VoiceModel) -> StorageSpec:
    """Return the storage of a VoiceModel with artifactsUri narrowed to the voice's own folder.

    Parameters
    ----------
    model
        The VoiceModel.

    Returns
    -------
    StorageSpec
        The narrowed storage.
    """
    storage = model.spec.storage
    return storage.model_copy(update={"artifacts_uri": f"{storage.artifacts_uri.rstrip('/')}/{voice_folder(model)}"})


def _step(model: VoiceModel, observed: ObservedState, stage: Stage, spec: Spec) -> PipelineStep:
    name = f"{model.metadata.name}-{stage}-{spec_key(stage, spec)[:10]}"
    return PipelineStep(stage, spec, name, observed.jobs.get(name))


def _resolve_base_release(model: VoiceModel, observed: ObservedState) -> Pipeline:
    """Resolve the one stage of a VoiceModel without a dataset."""
    release = _step(
        model,
        observed,
        Stage.RELEASE,
        BaseVoiceReleaseSpec(
            name=model.metadata.name,
            base=model.spec.base,
            storage=voice_storage(model),
            evaluation=model.spec.evaluation,
            base_version=observed.input_version,
        ),
    )
    return Pipeline((release,), released=release.job.result(ReleaseResult) if release.job else None)


def resolve_pipeline(model: VoiceModel, observed: ObservedState) -> Pipeline:
    """Resolve the specs and Jobs of the stages, up to the first one that has no result.

    Parameters
    ----------
    model
        The VoiceModel whose spec the stages are made from.
    observed
        The Jobs that exist, and the version of the inputs.

    Returns
    -------
    Pipeline
        One to three steps; a step follows only when the one before has a result.
    """
    spec, storage = model.spec, voice_storage(model)
    if spec.dataset is None:
        return _resolve_base_release(model, observed)
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
            dataset_version=observed.input_version,
        ),
    )
    prepared = prepare.job.result(PrepareResult) if prepare.job else None
    if prepared is None:
        return Pipeline((prepare,))
    base = spec.base.model_copy(update={"sha256": prepared.base_sha256 or spec.base.sha256})
    train = _step(
        model,
        observed,
        Stage.TRAIN,
        TrainSpec(
            features_uri=prepared.features_uri,
            features_digest=prepared.features_digest,
            base=base,
            storage=storage,
            training=spec.training.recipe(),
        ),
    )
    trained = train.job.result(TrainResult) if train.job else None
    if trained is None:
        return Pipeline((prepare, train), prepared)
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
            base=base,
            storage=storage,
            evaluation=spec.evaluation,
        ),
    )
    released = release.job.result(ReleaseResult) if release.job else None
    return Pipeline((prepare, train, release), prepared, trained, released)
