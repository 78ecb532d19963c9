"""Tapes: the background of a market, recorded or generated, and whether generated ones look like recorded ones.

tape              one market's events in time order
reading, moments  a recording as a tape: trades put before what they caused, frames of one moment in order
raw_log, log_import   logs of others: how one is laid out, and what of it is sound
description       what a tape is, in a line
generator         draws a tape from a seed; profiles says what a market looks like
fidelity          a tape in figures; fidelity_gates compares those of generated and recorded tapes
"""
