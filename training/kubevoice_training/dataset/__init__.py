"""Reading a dataset, finding every fault in it before anything is computed, and saying how good it is.

A dataset is a folder in storage: metadata.csv with the columns id,text,emotion,wav_path and, optionally, speaker, and
the sound files it names; or KAN-TTS' standard folder, with prosody/prosody.txt and wav/. All of it is untrusted.
"""

from kubevoice_training.dataset.check import DatasetReport, check_dataset, raise_on_faults
from kubevoice_training.dataset.rows import METADATA, Clip, DatasetRow, read_rows

__all__ = ["METADATA", "Clip", "DatasetReport", "DatasetRow", "check_dataset", "raise_on_faults", "read_rows"]
