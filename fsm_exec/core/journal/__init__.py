"""What is kept of an execution, and how it is read again.

Its modules:

    rows, to_rows            the rows of the store; how one step becomes rows
    snapshot, upcasting      the encoded execution; how an older version becomes today's
    head_text                what is encoded of an execution, checked; what never changes of it, once
    parts                    what is over in a long execution, kept apart from what may still change
    replay, consistency      folding the journal again; comparing it with snapshot and rows
    crashpoints              places with a name where a test may kill the process
"""
