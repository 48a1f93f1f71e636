"""Services for call requests: register them, make their attempts, show them, and perform the users' actions."""
