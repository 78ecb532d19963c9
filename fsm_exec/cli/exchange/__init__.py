"""Commands on an exchange: `fsm-exec paper` and `fsm-exec record`.

paper             the paper exchange on sockets; paper_file says where it is and with which key
record            books and trades from the stream into files
access            the access to the exchange that a configuration names
"""
