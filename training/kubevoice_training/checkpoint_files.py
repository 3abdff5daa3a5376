"""Names of the files of a voice checkpoint."""

__all__ = ["ACOUSTIC", "CHECKPOINT_FILES", "LABELS", "VOCODER"]

LABELS, ACOUSTIC, VOCODER = "labels.json", "acoustic.pt", "vocoder.pt"
CHECKPOINT_FILES = (LABELS, ACOUSTIC, VOCODER)
