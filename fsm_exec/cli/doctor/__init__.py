"""`fsm-exec doctor`: looks at what is installed, configured and reachable, a line each.

command         the command, and what it prints
check           the line
installation    what needs no network: package, configuration, key
account_checks  what the exchange says of the account
stream_probe    whether the stream answers
live_check      --live: what is asked first, and in which market
live_order      ... one order that nobody takes: placed, seen, cancelled
live_contract   ... one contract, bought and sold
"""
