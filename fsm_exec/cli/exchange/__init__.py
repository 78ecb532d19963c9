"""Commands on an exchange: `fsm-exec paper`, `record` and `import`.

paper             the paper exchange on sockets; paper_file says where it is and with which key
record, recorder  books and trades from the stream into files; the listener that writes them
import_log        recordings of raw logs that others wrote
access            the access to the exchange that a configuration names
"""
