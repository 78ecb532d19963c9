"""The log of a database: how it is kept in files, what of it goes to the journal, and how it is read again.

settings        how large a file of it becomes, and how many are kept
rotating_file   the file it is written to: renamed when it is full, opened again when something else renamed it
journal         a copy of its lines for systemd's journal, in words, each with its priority
log_files       the files of one log in the order of time, packed ones too; what is added while one reads
entries         one line of it: its time, its level, what it is about
wording         entries in words, one line a step
"""
