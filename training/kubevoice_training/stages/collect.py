"""Garbage collection: deletes the artifacts of forgotten revisions, or of a whole voice."""

from kubevoice.resources.stages import CollectResult, CollectSpec

from kubevoice_training.stages.context import Context

__all__ = ["collect"]


def collect(spec: CollectSpec, context: Context) -> CollectResult:
    """Delete the objects below each prefix. A prefix without objects is not an error.

    Parameters
    ----------
    spec
        The prefixes.
    context
        Where to delete and what to report to.

    Returns
    -------
    CollectResult
        Number of objects deleted.

    Raises
    ------
    InputError
        If a prefix is outside of the artifacts, or names all of them.
    """
    deleted = 0
    for number, prefix in enumerate(spec.prefixes, 1):
        count = context.artifacts.delete_below(prefix)
        print(f"{context.artifacts.uri}/{prefix}: {count} objects deleted", flush=True)
        deleted += count
        context.progress.report(number, len(spec.prefixes))
    return CollectResult(deleted=deleted)
