"""`make soak`: thousands of calls through a carrier that misbehaves, while everything that can die dies."""
