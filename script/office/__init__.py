"""A simulated office with a real Asterisk, for script/demo, script/bench and the tests."""
