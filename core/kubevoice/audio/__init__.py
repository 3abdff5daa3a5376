"""Audio as arrays: mel spectrograms and encoders. Samples are float32 in [-1, 1], one channel."""
