"""Scripts that run on the hosts of a lab: a TCP endpoint, a relay, a middlebox that resets."""
