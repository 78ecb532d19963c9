"""The account while an engine runs.

ledger       what is held of each market, by our saves and by what the exchange lists
gate         whether a request is let in, and what it reserves until it is durable
poller       reads the account at the start, after each reconnection and at intervals; sets the brake
doubts       in which markets more was traded than the stream told, until a look has found it
"""
