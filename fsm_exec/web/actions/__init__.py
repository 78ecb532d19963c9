"""Actions: what the page lets a person do. Each is confirmed by a page that states what exactly will happen, and
written into the log before it is answered."""
