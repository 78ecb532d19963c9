"""A durable execution engine for Kalshi on one machine. Start at `cli.main`, or at `core.execution` for the ideas."""
