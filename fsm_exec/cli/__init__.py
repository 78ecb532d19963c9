"""The commands. The only room that knows all others: it wires engine, store, client and exchange together."""
