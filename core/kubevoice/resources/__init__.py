"""The VoiceModel resource: its types, its status, its conditions, and the CRD made from them."""
