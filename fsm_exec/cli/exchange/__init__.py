"""Commands on an exchange: `fsm-exec paper`, `record` and `import`.

paper             the paper exchange on sockets; paper_file says where it is and with which key
record            books and trades from the stream into files
import_log        recordings of raw logs that others wrote
access            the access to the exchange that a configuration names
"""
