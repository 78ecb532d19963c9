"""The runtime: trio tasks that bring events to the deciding core and carry out its decisions. It knows the store and
the exchange as protocols only.

Each line uses only those below it, but for what is handed in as a callable or a protocol:

    lifespan                            opens an engine, and takes it apart in the safe order
    engine, status                      the states of its table, the operations of its owner, what it reports
    recovery                            the start: the database and the exchange compared
    dispatch                            whose event is it: at work, ended, or not here
    supervisor                          a guard for each execution: restart, quarantine, give up
    ended_executions, cost_measurement  events that come after an end; what the execution cost
    actor                               one execution: decide, save, act
    order_lookup, order_sender, cancel_retry   orders looked up, writes sent, lost cancels sent again
    inbox, submission                   its events, its first one
    reconciler, confirmer               account listings compared with executions, at work and ended
    stream_listener                     what the stream brings, and where it goes
    stored_executions, missed_facts     what the database has of executions, what the exchange shows beside it
    kill_switch, services               orders cancelled without a saved decision; what actors are given
    markets, observer                   feeds opened and closed; what watches them beside the executions
    book_recorder, forecast_recorder, markouts   what the observer stores
    exchange_reads, monitored_exchange, health   reads until they are answered; whether the engine can act
    tape_recorder                         the frames of worked markets, kept beside the database
    stream_state                        whether the stream brings anything
    feed, net_book                      one market now, without our own orders
    own_orders, order_names             our orders: what rests, and whose it is
    timer_queue, events, logs           waiting; the log
    clock, system_time, determinism, pacer   time; the order of tasks and the pace on virtual time
"""
