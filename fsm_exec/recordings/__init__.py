"""Recordings as files: who writes them (`fsm-exec record`, an engine) and who reads them shares this.

format            the header and the line of a frame
lines             a file's lines, gzipped or plain, also of one that was cut off
writer            writes one under another name until it is whole, and never over an existing file
kept, tape_writer where an engine keeps tapes, and the thread that writes them
book_frame        a book as the frame of a snapshot
day_files         a file a market and day, and their manifest
unfinished        what a kill left, made a recording of its own

`wire.recording` reads the frames in the lines; it needs the exchange's words, this does not.
"""
