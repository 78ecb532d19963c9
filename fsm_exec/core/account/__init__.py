"""What the account holds, what it has brought, what it may lose, and what may therefore be bought.

Its modules:

    holding                  what is held of a market and what it brought, netted as the exchange does it
    rows                     what the store keeps of the account
    worst_case               the least an event can be worth, over its outcomes and the orders that may fill
    limits                   the table `[risk]` of the configuration
    admission                whether a request is let in, and by which limit it is refused
    brake                    daily loss and drawdown: active, reducing, halted
"""
