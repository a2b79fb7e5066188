"""What a shape costs: parameters, and FLOPs per token."""

from growlm.model.config import GPTConfig

CAUSAL = 0.5
"""Share of the attention matrix that a causal model needs; the ledger counts no more."""


def layer_matrix_parameters(config: GPTConfig) -> int:
    """Return the matrix entries of one layer."""
    attention = 2 * config.attention_width + 2 * config.kv_width
    mlp = (3 if config.activation == "swiglu" else 2) * config.mlp
    return config.width * (attention + mlp)


def layer_vector_parameters(config: GPTConfig) -> int:
    """Return the biases, gains and offsets of one layer."""
    hidden = config.mlp * (2 if config.activation == "swiglu" else 1)
    return (
        2 * config.width * (2 if config.norm_bias else 1)
        + 2 * config.head_width * config.qk_norm
        + (config.attention_width + 2 * config.kv_width) * config.qkv_bias
        + config.width * config.output_bias
        + (hidden + config.width) * config.mlp_bias
    )


def parameters(config: GPTConfig) -> int:
    """Return all parameters, a tied head counted once, the padding of the vocabulary included."""
    embeddings = config.padded_vocab_size * config.width * (1 if config.tied else 2)
    positions = config.context * config.width if config.positions == "learned" else 0
    layer = layer_matrix_parameters(config) + layer_vector_parameters(config)
    final_norm = config.width * (2 if config.norm_bias else 1)
    return embeddings + positions + config.layers * layer + final_norm


def non_embedding_parameters(config: GPTConfig) -> int:
    """Return the parameters outside embedding, positions and head."""
    layer = layer_matrix_parameters(config) + layer_vector_parameters(config)
    return config.layers * layer + config.width * (2 if config.norm_bias else 1)


def training_flops_per_token(config: GPTConfig, *, context: int, causal: float = CAUSAL) -> float:
    """Return the FLOPs of forward and backward per token.

    ``6 (N + V D) + 12 L A T causal``: N the matrix entries of the layers, V D the head once (the
    embedding's gather is free), A the attention width, T the context. Recomputation gets no
    credit. Narayanan et al., arXiv:2104.04473, appendix; with ``causal=1`` it is what
    ``torch.utils.flop_counter`` counts.

    Args:
        config: The shape.
        context: Tokens in a training sequence.
        causal: Share of the attention matrix that is counted.
    """
    matrices = config.layers * layer_matrix_parameters(config)
    head = config.padded_vocab_size * config.width
    attention = config.layers * config.attention_width * context
    return 6.0 * (matrices + head) + 12.0 * attention * causal
