"""The pages of call request modules."""
