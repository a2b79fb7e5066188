"""GPT-2: learned positions, biases everywhere, matrices stored ``[in, out]``."""

from growlm.model.families.family import Family, Must, flag, number, required, size, word

GPT2 = Family(
    name="GPT-2",
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    keys={
        "layers": required("n_layer"),
        "heads": required("n_head"),
        "width": required("n_embd"),
        "mlp": size("n_inner"),
        "context": required("n_positions"),
        "vocab_size": required("vocab_size"),
        "activation": word(
            "activation_function",
            {
                "gelu_new": "gelu-tanh",
                "gelu_pytorch_tanh": "gelu-tanh",
                "gelu_fast": "gelu-tanh",
                "gelu": "gelu",
            },
            absent="gelu_new",
        ),
        "tied": flag("tie_word_embeddings", absent=True),
        "norm_eps": number("layer_norm_epsilon", absent=1e-5),
        "dropout": number("resid_pdrop", absent=0.1),
        "attention_dropout": number("attn_pdrop", absent=0.1),
    },
    fixed={
        "positions": "learned",
        "norm": "layernorm",
        "parallel": False,
        "qk_norm": False,
        "qkv_bias": True,
        "output_bias": True,
        "mlp_bias": True,
        "norm_bias": True,
        "rotary_base": 10_000.0,
        "rotary_share": 1.0,
    },
    narrow={},
    musts=(
        Must(
            name="scale_attn_weights",
            right=(True,),
            absent=True,
            otherwise="attention that is not divided by the root of the head width",
        ),
        Must(
            name="scale_attn_by_inverse_layer_idx",
            right=(False,),
            absent=False,
            otherwise="attention that is divided by the layer's number",
        ),
    ),
    constants={"embd_pdrop": 0.0},
    modules={
        "transformer.wte": ("embedding",),
        "transformer.wpe": ("position",),
        "transformer.h.{}.ln_1": ("attention_norm",),
        "transformer.h.{}.attn.c_attn": ("attention.query", "attention.key", "attention.value"),
        "transformer.h.{}.attn.c_proj": ("attention.output",),
        "transformer.h.{}.ln_2": ("mlp_norm",),
        "transformer.h.{}.mlp.c_fc": ("mlp.up",),
        "transformer.h.{}.mlp.c_proj": ("mlp.down",),
        "transformer.ln_f": ("norm",),
        "lm_head": ("head",),
    },
    prefix="transformer.",
    by_head=False,
    transposed=("c_attn", "c_proj", "c_fc"),
    buffers=(".attn.bias", ".attn.masked_bias"),
)
"""Radford et al., 2019."""
