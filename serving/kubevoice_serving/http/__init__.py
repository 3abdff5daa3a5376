"""The HTTP process: routes, schemas, keys, limits, metrics; over a routing.backend.Backend."""
