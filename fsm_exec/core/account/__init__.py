"""What the account holds, what it has brought, what it may lose, and what may therefore be bought.

Its modules:

    holding                  what is held of a market and what it brought, netted as the exchange does it
    marks                    what closing it now brings, and what it is worth at the mid
    profit                   won and lost: by market, event, series, method, execution, day, and by hand
    statement                the positions as people read them
    differences              where the exchange says something else, and why
    rows                     what the store keeps of the account
    worst_case               the least an event can be worth, over its outcomes and the orders that may fill
    limits                   the table `[risk]` of the configuration
    admission                whether a request is let in, and by which limit it is refused
    brake                    daily loss and drawdown: active, reducing, halted
"""
