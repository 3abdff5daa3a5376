"""Stage one: a dataset in, checked, out come features named by what they were made of."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.errors import InputError
from kubevoice.resources.stages import EmotionSeconds, PrepareResult, PrepareSpec
from kubevoice.storage import connect, publish_tree
from kubevoice.text import UnitTables, analyse

from kubevoice_training.dataset import Clip, Report, check
from kubevoice_training.feature_store import Utterance, write_features
from kubevoice_training.features import extract, load_audio, trim_silence
from kubevoice_training.stages.context import Context

__all__ = ["prepare"]

STREAMS = ("sy", "tone", "syllable_flag", "word_segment")
TARGET_RMS = 0.08
"""Level of a speaker's recordings taken together; one gain a speaker keeps emotions as loud as they are."""


def in_dev_split(clip_id: str, seed: int, fraction: float) -> bool:
    """Choose by hash, so that adding clips moves none from one side to the other."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()[:4])
    return draw < fraction * 2**32
