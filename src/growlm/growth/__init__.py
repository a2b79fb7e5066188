"""Growing: depth plans, weights, optimizer moments, and the certificate."""
