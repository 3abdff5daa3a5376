"""The operator: observe -> plan -> render -> apply -> status.

`observed_state`, `planner`, `render` and `status_builder` are pure. `cluster` observes and applies on Kubernetes,
`local` on one machine.
"""
