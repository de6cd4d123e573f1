"""The training loop: a task owns the step, the loop owns everything around it."""
