"""Writing texts on, token by token: cache, sampling, spelling."""
