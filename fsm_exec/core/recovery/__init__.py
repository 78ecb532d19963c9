"""What listings prove, after a doubt or a restart.

Its modules:

    order_lookup             which orders must be looked up, and what one listing says of them
    proof                    what the listings of orders and fills prove together
    reconcile                whether a listed order or fill is news to an execution
    recovery                 what each execution missed between two processes, and which orders have no owner
"""
