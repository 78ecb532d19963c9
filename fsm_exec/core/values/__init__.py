"""Exact numbers: nothing here is a float, and every unit is in a name.

Its modules:

    units                    prices, counts, money and grids in integers; parsing and formatting
    fixed_point              logarithm, exponential and normal distribution in integers
    ewma                     sums and means that fade with time
    times                    microseconds of UTC, and their text
    field_names              what may have been meant by a field or a word that does not exist
"""
