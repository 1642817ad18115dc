"""What decides a rollout, as pure functions: it knows no network, no clock and no disk.

`controller.decide` is all of it from outside. Inside: `rules` say what happens in each phase,
`judging` adds looks to the evidence that `judge` keeps, `ramp` chooses the next weight, `growth`
takes differences of counters, and `signals` reads the table of guards for them.
"""
