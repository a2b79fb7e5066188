"""The optimizer and the learning rate: parameter groups and schedules."""
