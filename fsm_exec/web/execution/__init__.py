"""The page of one execution, and the list of all of them."""
