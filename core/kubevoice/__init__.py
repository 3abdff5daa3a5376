"""What all parts of KubeVoice share: resources, text, audio, voice bundles and storage."""
