"""The daemon's control: its API on loopback, the token that opens it, and the typed client the commands use."""
