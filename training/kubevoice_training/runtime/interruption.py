"""The exception of a stage that was asked to stop."""

__all__ = ["Interrupted"]


class Interrupted(Exception):  # noqa: N818  # not an error: the stage was asked to stop
    """The stage was asked to stop and did. What it needs to continue is saved."""
