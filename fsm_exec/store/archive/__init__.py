"""Archives: executions that have ended move, with all that is of them, into files beside the database.

`NAME.archive/YYYY-MM.sqlite` has those accepted in that month: databases of the same schema, their owner's alone, that
nothing writes to but the mover. An execution may move once nothing will ever be said of it again: it has ended and its
cost is reckoned, every fill has its settlement and so has the account, no forecast of it is open, and no listing that a
start or a look may still ask for reaches back to it. The newest of each numbered kind stays, so no number comes twice.

The protocol of one move, and what is on disk after a kill:

1. *Copy.* In one transaction of the archive, all rows of the execution are written there, over what an earlier try may
   have left. It is flushed before anything else happens. Killed before: the archive has nothing of it. Killed after:
   both have it, and the database counts; the next run copies it again.
2. *Move.* In one transaction of the database, if the execution is still what was copied: its rows in `execution_state`,
   `edges` and `submissions` go, and `archived_executions` says where it is, under which key it was asked for, and
   `archived_books` what its fills came to. From that commit on, and not before, the archive counts.
3. *Clear.* What else is of it (journal, orders, fills, ...) is deleted in transactions of so many rows, most often in
   that of the move. Killed in between: rows of no execution are left, which no reader takes for anything, since each
   begins at `execution_state`; `is_cleared` 0 says that they are there, and the next run goes on.

So whoever reads looks into the database first, and then into the archives for what was not there: whatever moves
meanwhile is seen once. An archive that is missing or damaged is said in one line and hides nothing else.

    tables         what moves, what is copied along, what stays, and why
    archive_files  their names; opening them to write and to read
    copying        step 1
    moving         which executions may move; steps 2 and 3
    offline        all of it on a database that no engine has open
    archive_reads  reading across the database and its archives
"""
