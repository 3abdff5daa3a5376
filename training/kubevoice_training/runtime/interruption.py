"""How a stage ends that was asked to stop."""

__all__ = ["Interrupted"]


class Interrupted(Exception):  # noqa: N818  # not an error: it was asked to stop and has saved itself
    """A stage stopped because it was asked to; what it has to save is saved."""
