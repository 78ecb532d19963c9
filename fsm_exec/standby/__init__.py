"""A second machine that takes over: who leads, the copy of the database, the takeover, and what the copy's lag lost.

lease_record, lease     who leads: the record, and an engine's hold on it
places                  where the record is: a shared directory, a bucket, the memory of a simulation
accepted_notes          what was accepted, beside the record, until the copy has it
command_notes           what a person ordered, beside the record
lost_keys, lost_commands        what of both a database does not have: said, and what was ordered done
"""
