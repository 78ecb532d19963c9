"""How a page stays as the engine is: fragments of HTML by their ids, sent to whoever watches, at most so often.

board      what a page shows now, each fragment with the version at which it last changed
tickers    brings a board up to date while somebody watches it: once for all of them
stream     one viewer's server-sent events: always from the version it has to the newest
"""
