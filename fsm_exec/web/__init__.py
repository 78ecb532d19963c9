"""The page of a running daemon, and of a copied database: HTML made by the server, and small scripts of our own."""
