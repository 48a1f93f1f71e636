"""What script/demo, script/server and script/bench are made of."""
