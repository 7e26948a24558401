"""Chat templates in the style of well-known families."""

HEADERS = """{{ bos_token }}{% for m in messages %}{{ '<|header|>' + m['role'] + '<|/header|>\\n\\n' + \
m['content'] | trim + '<|eot|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|header|>assistant<|/header|>\\n\\n' }}{% endif %}"""
"""A header before each turn, and contents trimmed."""

TURNS = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}\
{% endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}\
{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}\
{{ '<turn>' + role + '\\n' + m['content'] | trim + '<end>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<turn>model\\n' }}{% endif %}"""
"""Without a system role; the assistant is called model."""

MARKED = """{% for m in messages %}<|start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}
{% else %}{{ m.content }}<|end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant
{% endif %}"""
"""With generation marks around the answer and its end."""

MARKED_OPEN = "{% for m in messages %}{% if m.role == 'assistant' %}A: {%- generation -%} {{ m.content }}\
{%- endgeneration -%}{% else %}{{ m.role }}: {{ m.content }}{% endif %}{% if not loop.last %}{{ '\\n' }}{% endif %}\
{% endfor %}"
"""Marks answers, closes no turn."""

MARKS_NOTHING = MARKED.replace("{{ m.content }}<|end|>{% endgeneration %}", "{% endgeneration %}{{ m.content }}<|end|>")
MARKS_HEADERS = (
    MARKED.replace("{% generation %}", "")
    .replace("<|start|>{{ m.role }}", "<|start|>{% generation %}{{ m.role }}{% endgeneration %}")
    .replace("<|end|>{% endgeneration %}", "<|end|>")
)

REASONING = """{% set ns = namespace(last=-1) %}{% for m in messages %}{% if m.role == 'user' %}\
{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% set parts = m.content.split('</think>') %}\
{% if loop.index0 > ns.last %}{{ '<think>\\n' + parts[0].split('<think>')[-1].strip() + '\\n</think>\\n\\n' if parts | \
length > 1 else '<think>\\n\\n</think>\\n\\n' }}{% endif %}{{ parts[-1].lstrip() }}\
{% else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""Drops the thinking of earlier answers, and writes that of the last one."""

SUMMING = "[{{ messages[-1].content | first }}]{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
"""What it writes before an answer depends on the answer."""

LAST_ONLY_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '<eos>' if loop.last else '\\n' }}{% endfor %}"
"""Closes only the last turn."""

NO_SYSTEM = """{% for m in messages if m.role != 'system' %}{{ m.role + ': ' + m.content + '<eos>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"""
"""Says nothing of a system message, and does not refuse it."""
