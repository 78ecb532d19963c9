"""The exchange as members, operator and tape see it, each built on the one below; everything runs on the timeline.

tape_player       puts a tape's events on the timeline
exchange          the members: every write, and request_checks before it
  batches, order_group_requests   many orders in one request; order groups
lifecycle         the operator: pauses, close, result, another grid
trading           the floor: match an order, cancel it, end it, book, publish
member_reads, public_reads, event_reads, candle_reads   the bodies of reads; paging cuts listings into pages
stale_listings    listings that lag behind, on purpose
publisher, subscriptions, serializers   channels, their frames, their bodies
encoding          the bytes of requests and answers
"""
