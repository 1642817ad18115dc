"""The operator: what `laptop.rollout` is on a laptop, for every ModelRollout of a cluster.

It decides nothing: each step reads the resource, calls the same `step` as the laptop's loop, and
saves the status in the resource before anything else is written. So it may be killed at any
moment; and since every write is conditional on the version that was read, a second one running
beside it loses races and does no harm.

kopf watches; it only wakes the loop of a resource, and each loop also goes round by itself
(level-triggered), so a lost event loses nothing. kopf's own timers and daemons are not used: they
put a finalizer on every resource, and a namespace could not be deleted while no operator runs.
What a ModelRollout owns has an owner reference instead, and Kubernetes removes it.

`python -m serving.rollout.operator` runs it; each option is also an environment variable.

`stepper` makes one step of one `resource`; `loops` has a loop for each; `watching` wakes them by
what kopf sees; `pages` tells how it goes; `settings` says where it works.
"""
