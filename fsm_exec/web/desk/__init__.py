"""The desk: how the engine stands, what is at work, what is held, and what ended last; live."""
