"""The page of the methods: what each cost, with intervals, from the database alone.

routes     its address, and what is kept between two looks
view       what the page shows, read and reckoned in a thread
chart      the costs as drawings, a row for each method
"""
