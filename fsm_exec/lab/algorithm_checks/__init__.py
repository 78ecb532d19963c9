"""What every algorithm must pass, ours and those of installed packages: `fsm-exec algorithms check NAME`."""
