"""A replica: loaded voices, the synthesizer and its scheduler."""
