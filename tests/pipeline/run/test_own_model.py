"""A user's own folder: a tiny random Qwen3 with a chat template of its family's shape, and the user's JSONL."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from forgetting import cli
from forgetting.core.example import Example
from forgetting.core.record import read_records
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from tests.conftest import write_rows

TEMPLATE = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{{ m.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
)


@pytest.fixture
def qwen(world: Path, tmp_path: Path) -> Path:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(world / "model")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer) + 5,  # padded, as real ones are
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "qwen3")
    tokenizer.save_pretrained(tmp_path / "qwen3")
    return tmp_path / "qwen3"


def test_one_command_to_a_model_that_plain_libraries_load(
    qwen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(
        tmp_path / "mine.jsonl", [{"frage": f"Who is {i}?", "antwort": f"A baker of bread {i}."} for i in range(6)]
    )
    write_rows(tmp_path / "keep.jsonl", [{"question": f"What is {i}?", "answer": f"The number {i}."} for i in range(9)])
    arguments = (
        "run unlearn model=qwen3 dtype=float32 data.forget=mine.jsonl data.retain=keep.jsonl batch_size=3 "
        "data.forget.columns={prompt: frage, response: antwort} "
        "learning_rate=1e-3 max_new_tokens=3 duration=10steps"
    )
    words = arguments.replace("{prompt: frage, response: antwort}", "@").split()
    monkeypatch.setattr("sys.argv", ["forget", *(w.replace("@", "{prompt: frage, response: antwort}") for w in words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "report: runs/unlearn/report.html" in capsys.readouterr().out

    tokenizer = AutoTokenizer.from_pretrained("runs/unlearn/model")
    assert tokenizer.chat_template == TEMPLATE
    base = AutoModelForCausalLM.from_pretrained("qwen3", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, "runs/unlearn/model").eval()
    for record in read_records(Path("runs/unlearn/records/unlearn-after.jsonl")):
        example = Example(id="x", prompt=record.prompt, response=record.answer)
        encoded = encode(example, tokenizer, Formatting())
        with torch.no_grad():
            loss = model(
                input_ids=torch.tensor([encoded.ids]),
                labels=torch.tensor([[i if w else -100 for i, w in zip(encoded.ids, encoded.weights, strict=True)]]),
            ).loss
        assert record.score is not None
        assert record.score.loss == pytest.approx(float(loss), rel=1e-4)


def test_what_is_supervised_is_the_answer_and_its_end(qwen: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(qwen)
    encoded = encode(Example(id="1", prompt="Who?", response="A baker."), tokenizer, Formatting())
    supervised = [i for i, w in zip(encoded.ids, encoded.weights, strict=True) if w]
    assert tokenizer.decode(supervised) == "A baker.<|im_end|>"
    assert tokenizer.decode(encoded.prompt_ids).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
