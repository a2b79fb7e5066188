"""Other people's layouts: which of ours each of their tensors and config's words is."""
