"""What is kept of an execution, and how it is read again.

Its modules:

    rows, to_rows            the rows of the store; how one step becomes rows
    snapshot, upcasting      the encoded execution; how an older version becomes today's
    replay, consistency      folding the journal again; comparing it with snapshot and rows
    crashpoints              places with a name where a test may kill the process
"""
