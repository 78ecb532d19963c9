"""The exchange's time.

clock             trio's clock in unix microseconds
timeline          actions in order of time: everything that changes the exchange runs there
latency           the legs between a member and the exchange
"""
