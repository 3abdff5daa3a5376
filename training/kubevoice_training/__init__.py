"""Fine-tuning of SAMBERT and HiFi-GAN voices: dataset to bundle."""
