"""The training engine: a step, a loop that is a generator, and the state a resume needs."""
