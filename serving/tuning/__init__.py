"""What a model's server should be told: measured with real servers, decided by a rule.

`load` is the process that asks, `measuring` starts servers and has them asked, `proposing` decides.
"""
