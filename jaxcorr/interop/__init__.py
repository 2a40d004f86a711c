"""What other code bases need of this one, and the reverse: weights, loss, programs."""
