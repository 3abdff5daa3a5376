"""Elements of a page that play and show data URIs."""

from kubevoice_training.pages.html import escape_text

__all__ = ["render_picture", "render_player"]


def render_player(sound: str) -> str:
    """Render an audio element.

    Parameters
    ----------
    sound
        A data URI.

    Returns
    -------
    str
        HTML; empty for an empty URI.
    """
    return f'<audio controls preload="none" src="{escape_text(sound)}"></audio>' if sound else ""


def render_picture(source: str, alt: str) -> str:
    """Render an image element.

    Parameters
    ----------
    source
        A data URI.
    alt
        Text that describes the image.

    Returns
    -------
    str
        HTML; empty for an empty URI.
    """
    return f'<img src="{escape_text(source)}" alt="{escape_text(alt)}">' if source else ""
