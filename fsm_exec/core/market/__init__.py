"""The market as the exchange has it, in data and pure arithmetic.

Its modules:

    book, bid_ladder         both ladders of a market; one side of them, kept in order
    ladder_codec             a ladder as the JSON that is stored
    liquidity                depth, levels, spread and concentration of a book
    terms                    a market's grid, fees, status and times
    price_structures         grids of prices by their names
    fees, limits             what an order is billed; the worst price and the cap of an execution
    incentives               programmes that pay for resting orders or for trading
    edge                     a model's probability and value, as they were submitted
    completion               what the rest would cost beyond the book
    orders                   requests, their answers, and statements about orders and fills
    client_order_id          names of our orders, and whose an order is
    account                  balances, positions, budgets, groups
"""
