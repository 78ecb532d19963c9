"""The files of a database: opening, locking, migrating, and telling a copy from the original.

open_database     create or open, migrate, identify: one function for both lanes
migrations        the schema, and how an older database is raised to it
locks, held_file  the lock beside the database, the lock on its inode; whether the file is still there
copy_mark         the time of opening in an attribute of the file, which a copy lacks
acknowledged      how much was acknowledged as durable, beside the database: says what a restored one lost
file_modes        only the owner may read
"""
