"""What a daemon measures of itself, as Prometheus reads it, and the board that shows it."""
