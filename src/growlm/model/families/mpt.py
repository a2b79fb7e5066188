"""MPT: ALiBi, no biases, a tied head; the layout that growlm's own models leave in."""

from growlm.model.families.family import Family, Must, flag, number, required

ATTENTION = {
    "alibi": True,
    "alibi_bias_max": 8,
    "attn_impl": "torch",
    "attn_pdrop": 0,
    "attn_type": "multihead_attention",
    "attn_uses_sequence_id": False,
    "clip_qkv": None,
    "prefix_lm": False,
    "qk_ln": False,
    "softmax_scale": None,
}
"""How attention is configured. A dropout other than 0 is refused by transformers' own reader."""

_MEANINGS = {
    "alibi": "positions without ALiBi",
    "alibi_bias_max": "other slopes of ALiBi",
    "attn_type": "shared keys and values",
    "clip_qkv": "clipped queries, keys and values",
    "prefix_lm": "a prefix that sees ahead",
    "qk_ln": "LayerNorm over queries and keys",
    "softmax_scale": "attention that is scaled otherwise",
}

MPT = Family(
    name="MPT",
    model_type="mpt",
    architecture="MptForCausalLM",
    keys={
        "layers": required("n_layers"),
        "heads": required("n_heads"),
        "width": required("d_model"),
        "context": required("max_seq_len"),
        "vocab_size": required("vocab_size"),
        "tied": flag("tie_word_embeddings", absent=True),
        "norm_eps": number("layer_norm_epsilon", absent=1e-5),
    },
    fixed={
        "positions": "alibi",
        "norm": "layernorm",
        "activation": "gelu",
        "parallel": False,
        "qk_norm": False,
        "qkv_bias": False,
        "output_bias": False,
        "mlp_bias": False,
        "norm_bias": False,
        "rotary_base": 10_000.0,
        "rotary_share": 1.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    # vLLM's and llama.cpp's readers take both for granted.
    narrow={"tied": True, "norm_eps": 1e-5},
    musts=(
        *(
            Must(
                name=f"attn_config.{name}",
                right=(ATTENTION[name],),
                absent=ATTENTION[name],
                otherwise=meaning,
            )
            for name, meaning in _MEANINGS.items()
        ),
        Must(
            name="no_bias",
            right=(True,),
            absent=True,
            otherwise="biases, for which transformers' MPT has no place",
        ),
        Must(
            name="expansion_ratio",
            right=(4,),
            absent=4,
            otherwise="an MLP that is not four times as wide, which transformers' MPT always is",
        ),
        Must(
            name="norm_type",
            right=("low_precision_layernorm", "layernorm"),
            absent="low_precision_layernorm",
            otherwise="another norm",
        ),
        Must(name="logit_scale", right=(None,), absent=None, otherwise="scaled logits"),
    ),
    constants={
        "attn_config": ATTENTION,
        "emb_pdrop": 0.0,
        "embedding_fraction": 1.0,
        "expansion_ratio": 4,
        "learned_pos_emb": False,
        "logit_scale": None,
        "no_bias": True,
        "norm_type": "low_precision_layernorm",
        "resid_pdrop": 0.0,
    },
    modules={
        "transformer.wte": ("embedding",),
        "transformer.blocks.{}.norm_1": ("attention_norm",),
        "transformer.blocks.{}.attn.Wqkv": (
            "attention.query",
            "attention.key",
            "attention.value",
        ),
        "transformer.blocks.{}.attn.out_proj": ("attention.output",),
        "transformer.blocks.{}.norm_2": ("mlp_norm",),
        "transformer.blocks.{}.ffn.up_proj": ("mlp.up",),
        "transformer.blocks.{}.ffn.down_proj": ("mlp.down",),
        "transformer.norm_f": ("norm",),
        "lm_head": ("head",),
    },
    prefix="transformer.",
    by_head=False,
    transposed=(),
    buffers=(),
)
"""MosaicML, 2023, as transformers, vLLM and llama.cpp read it."""
