"""From the HTTP process to the replicas: Ray backends, the canary, the response cache, draining."""
