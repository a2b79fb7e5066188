"""The optimizer and the learning rate: parameter groups, schedules, averages."""
