"""The routing service: requests with QoS in, the best chain and a lease on it out; promises that hold."""
