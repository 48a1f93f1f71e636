"""Tables, and the queries that several services share."""
