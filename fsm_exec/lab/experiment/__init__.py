"""Experiments: many episodes under many methods, measured, stored and compared.

compare           which episodes there are; runs them in as many processes as there are cores
ground            a tape with its starts, and a block of episodes on it worked: what any process can do
episode_runner    one episode: the real engine on the real paper exchange, on a clock that jumps
episodes          when an order is given, and under which conditions (tapes: on which background)
results           the file of results: one row for an episode and method
summary           cells of the comparison, and how sure each difference is
cost_bound        the cheapest way an order could have been filled, known afterwards
static_price      the best one limit price, known afterwards (tape_index: where each level of a tape changes)
methods, tuning, sensitivity   which methods; searching settings; the same under other assumptions
"""
