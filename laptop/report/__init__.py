"""One page about what an environment holds and how its rollouts went.

A person who has run the demo, or left a rollout overnight, wants to see it once, whole, and to
send it to a colleague: so the page is one file with its pictures inside, and nothing in it is
fetched.
"""

from laptop.report.page import RolloutStory, TrainingStory, write_report

__all__ = ["RolloutStory", "TrainingStory", "write_report"]
