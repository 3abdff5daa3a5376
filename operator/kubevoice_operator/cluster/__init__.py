"""VoiceModels on Kubernetes: what is observed over the API and the data plane, and how plans are carried out.

`snapshot`, `trouble` and `events` are pure; `api` and `dataplane` do the I/O; `reconciler` joins them; `watching`
feeds it from kopf.
"""
