"""Elements of a page that play and show data URIs."""

from kubevoice_training.pages.html import text

__all__ = ["picture", "player"]


def player(sound: str) -> str:
    """Return an audio element for a data URI; nothing for an empty one."""
    return f'<audio controls preload="none" src="{text(sound)}"></audio>' if sound else ""


def picture(source: str, alt: str) -> str:
    """Return an image element for a data URI; nothing for an empty one."""
    return f'<img src="{text(source)}" alt="{text(alt)}">' if source else ""
