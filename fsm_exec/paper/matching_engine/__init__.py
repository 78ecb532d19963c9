"""What trades with what, who ordered what, who owns what: pure and synchronous.

market            one market: its terms, its book, its running figures (candles: minute by minute)
settlement        moves contracts, cash and fees of a match; pays out at the result
market_book       the tape's levels with the members' orders laid over them (price_level: one of them)
accounts          cash, positions and reserves of a member
order_groups      how many contracts the orders of a group may trade in 15 s
orders            one order, one fill, one public trade
"""
