"""The networks: SAMBERT (acoustic model) and HiFi-GAN (vocoder), named as in KAN-TTS checkpoints."""
