"""The client of Kalshi's trade API: signing, REST over httpx, the WebSocket over trio-websocket.

`client.open_client` gives a `core.exchange_port.Exchange`. Nothing here decides: a write is sent once and its outcome
is returned as data; core decides what follows. "wire/README.md 4.1" is section 4.1 of fsm_exec/wire/README.md.

How the modules stand to each other, what uses above what is used:

    client
      rest  account  order_groups  markets         the calls of the API
        batches  listings  terms_reader            many orders, whole listings, terms from three reads
          fee_changes  history                     what is announced of fees; where listings end
        market_terms  fee_plan  translate          the exchange's words into ours, and back
        endpoints  write_outcomes                  a request's outcome as data; the table of what answers prove
        signed_http  http_wire  signing            one signed request, one bounded answer
          extra_responses                          no connection with a second answer in it is used again
          rate_budget  token_bucket  token_costs   every request waits here for its tokens
      websocket  websocket_dial                    one connection after another
        conversation  subscriptions                the protocol of one connection, without the connection
        market_poller  listener_guard              what the stream may have missed; calls of the listener
    environment  tls  private_file  network_errors  log
"""
