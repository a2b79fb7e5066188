"""The only room that wires rooms together: the plan, the run folder, the steps."""
