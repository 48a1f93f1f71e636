"""The pages of extensions and queues, and what every form with destinations shares."""
