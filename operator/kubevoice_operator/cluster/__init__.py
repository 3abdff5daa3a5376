"""The Kubernetes backend: observes over the API and the data plane, and carries out plans.

`snapshot`, `pod_issues` and `events` are pure; `api` and `data_plane` do the I/O; `reconciler` joins them; `watches`
fills the cache from kopf's watches.
"""
