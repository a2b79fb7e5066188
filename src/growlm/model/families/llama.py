"""Llama and its look-alikes: rotary positions, RMSNorm, a gated MLP, grouped heads."""

from dataclasses import replace

from growlm.model.families.family import (
    ROPE_BASE,
    ROPE_MUSTS,
    ROPE_SCALING,
    ROPE_SHARE,
    Family,
    Must,
    flag,
    number,
    required,
    size,
    word,
)

_BASE_MUSTS = (
    *ROPE_MUSTS,
    *(
        Must(
            name=name,
            right=(1.0, None),
            absent=None,
            otherwise="rotary positions in a part of each head",
        )
        for name in (ROPE_SHARE, "partial_rotary_factor")
    ),
)

LLAMA = Family(
    name="Llama",
    model_type="llama",
    architecture="LlamaForCausalLM",
    keys={
        "layers": required("num_hidden_layers"),
        "heads": required("num_attention_heads"),
        "kv_heads": size("num_key_value_heads"),
        "width": required("hidden_size"),
        "head_width": size("head_dim"),
        "mlp": required("intermediate_size"),
        "context": required("max_position_embeddings"),
        "vocab_size": required("vocab_size"),
        "activation": word("hidden_act", {"silu": "swiglu", "swish": "swiglu"}, absent="silu"),
        "qkv_bias": flag("attention_bias", absent=False),
        "output_bias": flag("attention_bias", absent=False),
        "mlp_bias": flag("mlp_bias", absent=False),
        "tied": flag("tie_word_embeddings", absent=False),
        "norm_eps": number("rms_norm_eps", absent=1e-6),
        "rotary_base": number(ROPE_BASE, "rope_theta", absent=10_000.0),
        "rotary_scaling": ROPE_SCALING,
        "attention_dropout": number("attention_dropout", absent=0.0),
    },
    fixed={
        "positions": "rotary",
        "norm": "rmsnorm",
        "parallel": False,
        "qk_norm": False,
        "norm_bias": False,
        "rotary_share": 1.0,
        "dropout": 0.0,
    },
    narrow={},
    musts=_BASE_MUSTS,
    constants={},
    modules={
        "model.embed_tokens": ("embedding",),
        "model.layers.{}.input_layernorm": ("attention_norm",),
        "model.layers.{}.self_attn.q_proj": ("attention.query",),
        "model.layers.{}.self_attn.k_proj": ("attention.key",),
        "model.layers.{}.self_attn.v_proj": ("attention.value",),
        "model.layers.{}.self_attn.q_norm": ("attention.query_norm",),
        "model.layers.{}.self_attn.k_norm": ("attention.key_norm",),
        "model.layers.{}.self_attn.o_proj": ("attention.output",),
        "model.layers.{}.post_attention_layernorm": ("mlp_norm",),
        "model.layers.{}.mlp.gate_proj": ("mlp.gate",),
        "model.layers.{}.mlp.up_proj": ("mlp.up",),
        "model.layers.{}.mlp.down_proj": ("mlp.down",),
        "model.norm": ("norm",),
        "lm_head": ("head",),
    },
    prefix="model.",
    by_head=False,
    transposed=(),
    buffers=(".rotary_emb.inv_freq",),
)
"""Touvron et al., arXiv:2302.13971; SmolLM and SmolLM2 call themselves by its name."""

_BY_CONFIG = {
    name: key
    for name, key in LLAMA.keys.items()
    if name not in {"qkv_bias", "output_bias", "mlp_bias"}
}
"""What the look-alikes' configs decide as Llama's does; each has its own rule for biases."""

_WINDOW = "a sliding window of attention"

MISTRAL = replace(
    LLAMA,
    name="Mistral",
    model_type="mistral",
    architecture="MistralForCausalLM",
    keys=_BY_CONFIG,
    fixed={**LLAMA.fixed, "qkv_bias": False, "output_bias": False, "mlp_bias": False},
    musts=(
        *_BASE_MUSTS,
        Must(name="sliding_window", right=(None,), absent=4_096, otherwise=_WINDOW),
    ),
    constants={"sliding_window": None},
)
"""Jiang et al., arXiv:2310.06825, from version 0.2 on, which has no sliding window."""

QWEN2 = replace(
    LLAMA,
    name="Qwen2",
    model_type="qwen2",
    architecture="Qwen2ForCausalLM",
    keys=_BY_CONFIG,
    fixed={**LLAMA.fixed, "qkv_bias": True, "output_bias": False, "mlp_bias": False},
    musts=(
        *_BASE_MUSTS,
        Must(name="use_sliding_window", right=(False,), absent=False, otherwise=_WINDOW),
    ),
    constants={"use_sliding_window": False},
)
"""Yang et al., arXiv:2407.10671; Qwen2.5 calls itself by its name."""

QWEN3 = replace(
    QWEN2,
    name="Qwen3",
    model_type="qwen3",
    architecture="Qwen3ForCausalLM",
    keys={
        **_BY_CONFIG,
        "head_width": replace(LLAMA.keys["head_width"], absent=128),
        "qkv_bias": flag("attention_bias", absent=False),
        "output_bias": flag("attention_bias", absent=False),
    },
    fixed={**LLAMA.fixed, "qk_norm": True, "mlp_bias": False},
)
"""Yang et al., arXiv:2505.09388."""
