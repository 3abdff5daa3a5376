"""What every part of KubeVoice speaks: resources, text, audio, voice bundles and storage."""
