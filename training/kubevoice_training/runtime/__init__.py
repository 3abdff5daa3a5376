"""What every stage runs on: processes, limits, checkpoints of a run, progress and stopping. It knows no network."""
