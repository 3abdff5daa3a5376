"""The voice bundle: what release writes and serving loads (a folder whose digest is the revision)."""

from kubevoice.voice.builtin import builtin_voice
from kubevoice.voice.bundle import Bundle, bundle_digest, load_bundle, seal_bundle
from kubevoice.voice.manifest import GRAPHS, Emotion, VoiceManifest, VoiceStats

__all__ = [
    "GRAPHS",
    "Bundle",
    "Emotion",
    "VoiceManifest",
    "VoiceStats",
    "builtin_voice",
    "bundle_digest",
    "load_bundle",
    "seal_bundle",
]
