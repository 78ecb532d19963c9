"""Work on a database that no engine has open.

read_only         open a database without changing it, in place or from a copy
backups           copy a database; migrate one
integrity         check one: pages, references, and what integrity_columns and integrity_values find
"""
