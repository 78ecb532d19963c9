"""Commands on a database: `fsm-exec db`, `replay`, `review`, `forecasts` and `methods`.

db                        check, back up, restore, migrate
replay                    the journal of an execution, folded again and compared with the database
review, review_tables     weeks of trading, and the tables that show them
forecasts                 were the forecasts better than "nothing changes"
methods                   named, versioned choices of an algorithm and its configuration
default_database          which database a command means that was given none
damage, instance          rows that could not be read; what makes the order ids of a database its own
"""
