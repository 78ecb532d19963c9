"""Alerts at run time: what is noticed that no save tells of, and the telling of all there are."""
