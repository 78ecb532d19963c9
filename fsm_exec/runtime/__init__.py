"""What runs: trio tasks, clocks, feeds and the engine. It knows the store and the exchange as protocols only."""
