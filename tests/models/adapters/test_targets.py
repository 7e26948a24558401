"""Groups and names of targets mean the same parts in every family, and never the head or the embeddings."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from forgetting.core.errors import ModelError
from forgetting.models.adapters import (
    AdapterSpec,
    add_lora,
    attach,
    coverage,
    linear_layers,
    resolve_targets,
    trainable_share,
)
from tests.models.tiny import FAMILIES, tiny_model

SEPARATE = {"qv": {"q_proj", "v_proj"}, "qkvo": {"q_proj", "k_proj", "v_proj", "o_proj"}}
GATED = {**SEPARATE, "ffn": {"gate_proj", "up_proj", "down_proj"}}
ENDINGS: dict[str, dict[str, set[str]]] = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "gemma2", "gemma3", "mistral", "olmo2", "granite", "cohere"), GATED),
    "phi": {"qv": {"q_proj", "v_proj"}, "qkvo": {"q_proj", "k_proj", "v_proj", "dense"}, "ffn": {"fc1", "fc2"}},
    "gpt2": {"qv": {"c_attn"}, "qkvo": {"c_attn", "attn.c_proj"}, "ffn": {"c_fc", "mlp.c_proj"}},
    "gpt_neo": {
        "qv": {"q_proj", "v_proj"},
        "qkvo": {"q_proj", "k_proj", "v_proj", "out_proj"},
        "ffn": {"c_fc", "mlp.c_proj"},
    },
    "gpt_neox": {
        "qv": {"query_key_value"},
        "qkvo": {"query_key_value", "attention.dense"},
        "ffn": {"dense_h_to_4h", "dense_4h_to_h"},
    },
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_group_takes_its_parts_of_every_layer(family: str) -> None:
    model = tiny_model(family)
    expected = ENDINGS[family]
    expected = {**expected, "qvffn": expected["qv"] | expected["ffn"], "all": expected["qkvo"] | expected["ffn"]}
    for group, endings in expected.items():
        names = resolve_targets(model, group)
        assert len(names) == 2 * len(endings), (group, names)
        assert all(any(name.endswith("." + ending) for ending in endings) for name in names)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_head_and_embeddings_are_never_targets(family: str, tied: bool) -> None:
    model = tiny_model(family, tied=tied)
    layers = list(linear_layers(model).values())
    assert model.get_output_embeddings() not in layers
    assert model.get_input_embeddings() not in layers
    with pytest.raises(ModelError, match=r"no matrix 'lm_head'.*it has"):
        resolve_targets(model, ["lm_head"])


def test_phi_3_has_its_fused_matrices_found() -> None:
    config = Phi3Config(
        vocab_size=97, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, pad_token_id=0
    )
    model = Phi3ForCausalLM(config)
    endings = {name.rsplit(".", 1)[-1] for name in resolve_targets(model, "qvffn")}
    assert endings == {"qkv_proj", "gate_up_proj", "down_proj"}


def test_names_may_be_whole_or_endings() -> None:
    model = tiny_model("gpt2")
    assert resolve_targets(model, "mlp.c_proj") == tuple(f"transformer.h.{i}.mlp.c_proj" for i in range(2))
    assert len(resolve_targets(model, ["c_proj"])) == 4
    assert resolve_targets(model, ["transformer.h.1.attn.c_attn"]) == ("transformer.h.1.attn.c_attn",)


def test_the_names_stay_the_same_under_adapters() -> None:
    model = tiny_model("llama")
    before = resolve_targets(model, "all")
    assert resolve_targets(add_lora(model, name="first", rank=2, alpha=4, targets="qv", seed=0), "all") == before


def test_a_name_that_fits_nothing_is_told_with_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"'q_prj'.*did you mean 'q_proj'\?.*self_attn\.q_proj.*mlp\.down_proj"):
        resolve_targets(tiny_model("llama"), ["v_proj", "q_prj"])
    with pytest.raises(ModelError, match=r"targets is empty; write all, qv, qkvo, ffn, qvffn or names"):
        resolve_targets(tiny_model("llama"), [])


@pytest.mark.parametrize(
    ("hidden", "layers", "heads", "printed"), [(768, 12, 12, "1.6"), (2048, 24, 16, "0.8"), (2560, 32, 20, "0.7")]
)
def test_the_trainable_share_is_the_one_loku_states(hidden: int, layers: int, heads: int, printed: str) -> None:
    """LoKU section 4.1: "tuning only about 0.7% to 1.6% of the total parameters", GPT-Neo 125M / 1.3B / 2.7B."""
    config = GPTNeoConfig(
        hidden_size=hidden, num_layers=layers, num_heads=heads, attention_types=[[["global", "local"], layers // 2]]
    )
    with torch.device("meta"):
        model = add_lora(GPTNeoForCausalLM(config), name="first", rank=16, alpha=32, targets="qvffn", seed=0)
    assert f"{100 * trainable_share(model):.1f}" == printed


def mixture(family: str) -> PreTrainedModel:
    """A tiny mixture of four experts."""
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    heads = {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 97, "pad_token_id": 0}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    if family == "qwen3_moe":
        experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes, **heads, **experts)).eval()


MATRICES = {  # by hand, of one layer: attention (q, k, v, o), then experts and router
    "mixtral": (32 * 32 + 2 * 32 * 16 + 32 * 32, 4 * (2 * 48 * 32 + 32 * 48) + 4 * 32),
    "qwen3_moe": (32 * 32 + 2 * 32 * 16 + 32 * 32, 4 * (2 * 16 * 32 + 32 * 16) + 4 * 32),
    "gpt_oss": (32 * 32 + 2 * 32 * 16 + 32 * 32, 4 * (2 * 48 * 32 + 32 * 48) + 4 * 32),
    "llama4_text": (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48, 4 * (2 * 48 * 32 + 32 * 48) + 4 * 32),
}


@pytest.mark.parametrize("family", MATRICES)
def test_what_an_adapter_cannot_be_put_on_is_counted_and_named(family: str) -> None:
    model, (inside, beyond) = mixture(family), MATRICES[family]
    found = coverage(model, resolve_targets(model, "all"))
    assert (found.adapted, found.beyond, found.total) == (2 * inside, 2 * beyond, 2 * (inside + beyond))
    assert {"experts.gate_up_proj", "experts.down_proj"} <= set(found.out_of_reach)
    share = f"{inside / (inside + beyond):.1%} of the decoder's matrix weights; it cannot be put on "
    assert str(found).startswith(f"the adapter is on {share}")
    adapted = attach(model, AdapterSpec(rank=2), name="s", seed=0)
    assert coverage(adapted, resolve_targets(adapted, "all")) == found
    with torch.no_grad():
        adapted(torch.arange(3, 20)[None])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dense_model_is_covered_whole(family: str) -> None:
    model = tiny_model(family)
    found = coverage(model, resolve_targets(model, "all"))
    assert (found.adapted, found.beyond, found.out_of_reach) == (found.total, 0, ())


def test_a_group_that_only_fused_experts_would_match_says_why() -> None:
    with pytest.raises(ModelError, match=r"'ffn' matches no matrix of .* be put on .*experts\.gate_up_proj"):
        resolve_targets(mixture("mixtral"), "ffn")
