"""What decides. Synchronous and pure: no clock, no randomness, no input or output. Times come in with the events."""
