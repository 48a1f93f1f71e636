"""Services for notifications: what users want, their browsers, and what is to be sent."""
