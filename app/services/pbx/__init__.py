"""What the PBX has, the scenarios of its extensions and queues, and our dialplan."""
