"""Tapes: the background of a market, recorded or generated, and whether generated ones look like recorded ones.

tape              one market's events in time order; reads recordings
generator         draws a tape from a seed; profiles says what a market looks like
fidelity          a tape in figures; fidelity_gates compares those of generated and recorded tapes
"""
