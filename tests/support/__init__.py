"""What tests share: tiny codecs, reference implementations, and other processes."""
