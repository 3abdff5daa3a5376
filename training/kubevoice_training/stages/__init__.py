"""The three stages. Each is a pure function of its spec: same spec, same output, found under the spec's hash."""
