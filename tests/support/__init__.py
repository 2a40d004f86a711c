"""Support for tests: tiny codecs, reference implementations, other processes."""
