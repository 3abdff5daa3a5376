"""The operator: from what is wanted and what is there to what must be done, and doing it.

observe -> plan -> apply -> status. `observe`, `plan`, `render` and `status` are pure; `local` applies on one machine.
"""
