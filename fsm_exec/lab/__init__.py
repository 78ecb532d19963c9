"""The lab: what execution costs, by experiment. Simulates, compares, and says how sure it is."""
