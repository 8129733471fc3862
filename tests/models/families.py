# ruff: noqa: E501 -- a line of a template is as long as it is
"""Chat templates in the form of model families as they were published until late 2026, written anew.

Each keeps what its family does with roles, system texts, reasoning, dates and the generation prompt, and the parts of
the language that it does it with; of tools what is asked about them where there are none. CONTROL has the special
tokens of each, PARTS the families that take content as a list of parts alone, ALTERNATING those that refuse anything
but turns of two, REFUSING those that refuse a system text.
"""

from typing import Final

_EACH, _END = "{%- for m in messages %}", "{%- endfor %}"


def _ask(text: str) -> str:
    return "{%- if add_generation_prompt %}{{- '" + text + "' }}{%- endif %}"


def _chatml(reply: str, *, opening: str = "", before: str = "") -> str:
    """Turns between im_start and im_end; reply: how an earlier answer is written."""
    return (
        before
        + _EACH
        + "{%- if m['role'] == 'assistant' %}"
        + reply
        + "{%- else %}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{%- endif %}"
        + _END
        + _ask("<|im_start|>assistant\n" + opening)
    )


_SAID = "{{- '<|im_start|>assistant\n' + m.content + '<|im_end|>\n' }}"
_ANSWER = "{%- set said = m.content.split('</think>')[-1].lstrip('\n') %}"
_THOUGHTLESS = _ANSWER + "{{- '<|im_start|>assistant\n' + said + '<|im_end|>\n' }}"
_ALTERNATE = (
    "{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{- raise_exception('Roles have to alternate: user, assistant, user, ...') }}{%- endif %}"
)
_SPLIT_SYSTEM = (
    "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}{%- set asked = messages[1:] %}"
    "{%- else %}{%- set told = '' %}{%- set asked = messages %}{%- endif %}"
)

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    + _ask("<|im_start|>assistant\n")
)
SMOLLM3 = (
    "{%- set thinks = enable_thinking if enable_thinking is defined else true %}"
    "{%- set today = strftime_now('%d %B %Y') %}"
    + _SPLIT_SYSTEM
    + "{{- '<|im_start|>system\n## Metadata\n\nToday: ' ~ today ~ '\nReasoning: ' ~ ('/think' if thinks else '/no_think') ~ '\n\n' }}"
    "{{- told.rstrip() ~ '\n\n' if told else '' }}{%- if xml_tools or python_tools or tools %}{{- 'tools' }}{%- endif %}"
    "{{- '<|im_end|>\n' }}"
    "{%- for m in asked %}{%- set content = m.content if m.content is string else '' %}"
    "{%- if m.role == 'user' %}{{ '<|im_start|>user\n' + content + '<|im_end|>\n' }}"
    "{%- elif m.role == 'assistant' %}{% generation %}"
    "{{ '<|im_start|>assistant\n' + content.lstrip('\n') + '<|im_end|>\n' }}{% endgeneration %}{%- endif %}{%- endfor %}"
    + _ask("<|im_start|>assistant\n")
)
LFM25 = (
    "{{- bos_token -}}{%- set keep_past = keep_past_thinking | default(false) %}{%- set ns = namespace(told='', last=-1) %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set ns.told = messages[0]['content'] %}{%- set messages = messages[1:] %}{%- endif %}"
    "{%- if tools %}{%- set ns.told = ns.told + 'List of tools: ' + tools | tojson %}{%- endif %}"
    "{%- if ns.told %}{{- '<|im_start|>system\n' + ns.told + '<|im_end|>\n' -}}{%- endif %}"
    "{%- for m in messages %}{%- if m['role'] == 'assistant' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n' -}}{%- set content = m['content'] %}"
    "{%- if content is not string %}{%- set content = content | tojson %}{%- endif %}"
    "{%- if m['role'] == 'assistant' and not keep_past and loop.index0 != ns.last and '</think>' in content %}"
    "{%- set content = content.split('</think>')[-1] | trim %}{%- endif %}"
    "{%- if m['role'] == 'assistant' %}{%- generation -%}{{- content + '<|im_end|>\n' -}}{%- endgeneration -%}"
    "{%- else %}{{- content + '<|im_end|>\n' -}}{%- endif %}{%- endfor %}" + _ask("<|im_start|>assistant\n")
)
PHI3 = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{'<|system|>\n' + m['content'] + '<|end|>\n'}}"
    "{% elif m['role'] == 'user' %}{{'<|user|>\n' + m['content'] + '<|end|>\n'}}"
    "{% elif m['role'] == 'assistant' %}{{'<|assistant|>\n' + m['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI4 = (
    "{% for m in messages %}{% if (m['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + m['content'] + '<|im_end|>'}}"
    "{% elif (m['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + m['content'] + '<|im_end|>'}}"
    "{% elif (m['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + m['content'] + '<|im_end|>'}}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
PHI4_REASONING = (
    "<|im_start|>system<|im_sep|>You think before you answer: {{ '<think>' }} thoughts {{ '</think>' }}, then the answer."
    "{% if messages[0]['role'] == 'system' %}{{ ' ' + messages[0]['content'] }}{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}<|im_end|>"
    "{% for m in rest %}{% if m['role'] == 'user' %}{{ '<|im_start|>user<|im_sep|>' + m['content'] + '<|im_end|>' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|im_start|>assistant<|im_sep|>' }}{% generation %}"
    "{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
LLAMA2 = (
    _SPLIT_SYSTEM
    + "{%- for m in asked %}"
    + _ALTERNATE
    + "{%- set content = '<<SYS>>\n' + told + '\n<</SYS>>\n\n' + m['content'] if loop.index0 == 0 and told else m['content'] %}"
    "{%- if m['role'] == 'user' %}{{- bos_token + '[INST] ' + content | trim + ' [/INST]' }}"
    "{%- elif m['role'] == 'assistant' %}{{- ' ' + content | trim + ' ' + eos_token }}{%- endif %}{%- endfor %}"
)
LLAMA31 = (
    "{{- bos_token }}\n{%- if custom_tools is defined %}\n    {%- set tools = custom_tools %}\n{%- endif %}\n"
    "{%- if not date_string is defined %}\n    {%- if strftime_now is defined %}\n"
    "        {%- set date_string = strftime_now('%d %b %Y') %}\n    {%- else %}\n"
    "        {%- set date_string = '26 Jul 2024' %}\n    {%- endif %}\n{%- endif %}\n"
    "{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n"
    "{#- The system text stands apart -#}\n{%- if messages[0]['role'] == 'system' %}\n"
    "    {%- set told = messages[0]['content'] | trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n"
    "    {%- set told = '' %}\n{%- endif %}\n"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}\n{%- if tools is not none %}\n    {{- 'Environment: ipython\n' }}\n{%- endif %}\n"
    "{{- 'Knowledge until December 2023\nToday is ' + date_string + '\n\n' }}\n{{- told }}\n{{- '<|eot_id|>' }}\n"
    "{%- for m in messages %}\n    {%- if not (m.role == 'ipython' or m.role == 'tool' or 'tool_calls' in m) %}\n"
    "        {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}\n"
    "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
    "    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}\n{%- endif %}\n"
)
LLAMA4 = (
    "{{- bos_token }}" + _EACH + "{{- '<|header_start|>' + m['role'] + '<|header_end|>\n\n' }}"
    "{%- if m['content'] is string %}{{- m['content'] }}{%- else %}{%- for c in m['content'] %}"
    "{%- if c['type'] == 'image' %}{{- '<|image|>' }}{%- elif c['type'] == 'text' %}{{- c['text'] | trim }}{%- endif %}"
    "{%- endfor %}{%- endif %}{{- '<|eot|>' }}" + _END + _ask("<|header_start|>assistant<|header_end|>\n\n")
)
MISTRAL1 = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}{% endfor %}"
)
MISTRAL3 = (
    _SPLIT_SYSTEM + "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}"
    "{%- set questions = asked | selectattr('role', 'equalto', 'user') | list %}"
    "{%- set ns = namespace(index=0) %}{%- for m in asked %}"
    "{%- if not (m.role == 'tool' or (m.tool_calls is defined and m.tool_calls is not none)) %}"
    "{%- if (m['role'] == 'user') != (ns.index % 2 == 0) %}{{- raise_exception('after the system text, user and assistant alternate') }}"
    "{%- endif %}{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}{{- bos_token }}"
    "{%- for m in asked %}{%- if m['role'] == 'user' %}{%- if tools is not none and (m == questions[-1]) %}{{- 'tools' }}{%- endif %}"
    "{%- if loop.last and told %}{{- '[INST] ' + told + '\n\n' + m['content'] + '[/INST]' }}"
    "{%- else %}{{- '[INST] ' + m['content'] + '[/INST]' }}{%- endif %}"
    "{%- elif m['role'] == 'assistant' %}{{- ' ' + m['content'] | trim + eos_token }}{%- endif %}{%- endfor %}"
)
MISTRAL7 = (
    "{{- bos_token }}{%- for m in messages %}"
    "{%- if m['role'] == 'system' %}{{- '[SYSTEM_PROMPT] ' + m['content'] + '[/SYSTEM_PROMPT]' }}"
    "{%- elif m['role'] == 'user' %}{{- '[INST] ' + m['content'] + '[/INST]' }}"
    "{%- else %}{{- ' ' + m['content'] + eos_token }}{%- endif %}{%- endfor %}"
)
TEKKEN = (
    "{%- set today = strftime_now('%Y-%m-%d') %}{%- set otherwise = 'You are a model. Today is ' + today + '.' %}{{- bos_token }}"
    "{%- if messages[0]['role'] == 'system' %}{%- if messages[0]['content'] is string %}{%- set told = messages[0]['content'] %}"
    "{%- else %}{%- set told = messages[0]['content'][0]['text'] %}{%- endif %}{%- set asked = messages[1:] %}"
    "{%- else %}{%- set told = otherwise %}{%- set asked = messages %}{%- endif %}"
    "{{- '[SYSTEM_PROMPT]' + told + '[/SYSTEM_PROMPT]' }}{%- for m in asked %}{%- if m['role'] == 'user' %}"
    "{%- if m['content'] is string %}{{- '[INST]' + m['content'] + '[/INST]' }}{%- else %}{{- '[INST]' }}"
    "{%- for b in m['content'] %}{%- if b['type'] == 'text' %}{{- b['text'] }}{%- elif b['type'] in ['image', 'image_url'] %}"
    "{{- '[IMG]' }}{%- else %}{{- raise_exception('Only text and image blocks are supported') }}{%- endif %}{%- endfor %}{{- '[/INST]' }}"
    "{%- endif %}{%- elif m['role'] == 'assistant' %}{{- (m['content'] if m['content'] is string else m['content'][0]['text']) + eos_token }}"
    "{%- else %}{{- raise_exception('Only user, system and assistant roles are supported') }}{%- endif %}{%- endfor %}"
)
GEMMA2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if (m['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {%- if messages[0]['content'] is string -%}\n"
    "        {%- set first = messages[0]['content'] + '\n\n' -%}\n    {%- else -%}\n"
    "        {%- set first = messages[0]['content'][0]['text'] + '\n\n' -%}\n    {%- endif -%}\n"
    "    {%- set asked = messages[1:] -%}\n{%- else -%}\n    {%- set first = '' -%}\n    {%- set asked = messages -%}\n{%- endif -%}\n"
    "{%- for m in asked -%}\n"
    + _ALTERNATE
    + "    {%- if (m['role'] == 'assistant') -%}\n        {%- set role = 'model' -%}\n    {%- else -%}\n        {%- set role = m['role'] -%}\n"
    "    {%- endif -%}\n    {{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}\n"
    "    {%- if m['content'] is string -%}\n        {{ m['content'] | trim }}\n    {%- elif m['content'] is iterable -%}\n"
    "        {%- for item in m['content'] -%}\n            {%- if item['type'] == 'image' -%}\n                {{ '<start_of_image>' }}\n"
    "            {%- elif item['type'] == 'text' -%}\n                {{ item['text'] | trim }}\n            {%- endif -%}\n        {%- endfor -%}\n"
    "    {%- else -%}\n        {{ raise_exception('Invalid content type') }}\n    {%- endif -%}\n    {{ '<end_of_turn>\n' }}\n{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n"
)
GEMMA4 = (
    "{%- macro content_of(c) -%}{%- if c is string -%}{{ c | trim }}{%- else -%}{%- for p in c -%}"
    "{%- if p.type == 'text' -%}{{ p.text | trim }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}"
    "{%- macro without_thought(text) -%}{%- set ns = namespace(out='') -%}{%- for part in text.split('<channel|>') -%}"
    "{%- if '<|channel>' in part -%}{%- set ns.out = ns.out + part.split('<|channel>')[0] -%}{%- else -%}{%- set ns.out = ns.out + part -%}"
    "{%- endif -%}{%- endfor -%}{{- ns.out | trim -}}{%- endmacro -%}"
    "{{- bos_token -}}{%- set asked = messages -%}{%- if enable_thinking is defined and enable_thinking or tools or messages[0].role in ['system', 'developer'] -%}"
    "{{- '<|turn>system\n' -}}{%- if enable_thinking is defined and enable_thinking -%}{{- '<|think|>\n' -}}{%- endif -%}"
    "{%- if messages[0].role in ['system', 'developer'] -%}{{- content_of(messages[0].content) -}}{%- set asked = messages[1:] -%}{%- endif -%}"
    "{{- '<turn|>\n' -}}{%- endif -%}{%- for m in asked -%}{%- set role = 'model' if m.role == 'assistant' else m.role -%}"
    "{{- '<|turn>' + role + '\n' -}}{%- if role == 'model' -%}{{- without_thought(content_of(m.content)) -}}{%- else -%}"
    "{{- content_of(m.content) -}}{%- endif -%}{{- '<turn|>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|turn>model\n' -}}{%- endif -%}"
)
QWEN2 = (
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN25 = (
    "{%- if tools %}{{- '<|im_start|>system\n' }}{{- messages[0]['content'] }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- else %}{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{%- else %}{{- '<|im_start|>system\nYou are of a cloud and a helpful assistant.<|im_end|>\n' }}{%- endif %}{%- endif %}"
    "{%- for m in messages %}{%- if (m.role == 'user') or (m.role == 'system' and not loop.first) or (m.role == 'assistant' and not m.tool_calls) %}"
    "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{%- endif %}{%- endfor %}"
    + _ask("<|im_start|>assistant\n")
)
QWEN3 = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}"
    "{%- set ns = namespace(searching=true, last=messages | length - 1) %}{%- for m in messages[::-1] %}"
    "{%- set index = (messages | length - 1) - loop.index0 %}{%- if ns.searching and m.role == 'user' and m.content is string "
    "and not (m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}"
    "{%- set ns.searching = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}"
    "{%- for m in messages %}{%- set content = m.content if m.content is string else '' %}"
    "{%- if (m.role == 'user') or (m.role == 'system' and not loop.first) %}"
    "{{- '<|im_start|>' + m.role + '\n' + content + '<|im_end|>' + '\n' }}{%- elif m.role == 'assistant' %}"
    "{%- set thought = '' %}{%- if m.reasoning_content is string %}{%- set thought = m.reasoning_content %}"
    "{%- elif '</think>' in content %}{%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and (loop.last or thought) %}"
    "{{- '<|im_start|>' + m.role + '\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}"
    "{%- else %}{{- '<|im_start|>' + m.role + '\n' + content }}{%- endif %}{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
QWEN35 = (
    "{%- macro render(content) %}{%- if content is string %}{{- content }}{%- elif content is iterable and content is not mapping %}"
    "{%- for item in content %}{%- if 'text' in item %}{{- item.text }}{%- else %}{{- raise_exception('Unexpected item.') }}{%- endif %}"
    "{%- endfor %}{%- elif content is none or content is undefined %}{{- '' }}{%- endif %}{%- endmacro %}"
    "{%- if not messages %}{{- raise_exception('No messages provided.') }}{%- endif %}"
    "{%- set ns = namespace(multi=true, last=messages | length - 1) %}{%- for m in messages[::-1] %}"
    "{%- if ns.multi and m.role == 'user' %}{%- set ns.multi = false %}{%- set ns.last = (messages | length - 1) - loop.index0 %}{%- endif %}"
    "{%- endfor %}{%- if ns.multi %}{{- raise_exception('No user query found in messages.') }}{%- endif %}"
    "{%- for m in messages %}{%- set content = render(m.content) | trim %}{%- if m.role == 'system' %}{%- if not loop.first %}"
    "{{- raise_exception('System message must be at the beginning.') }}{%- endif %}{{- '<|im_start|>system\n' + content + '<|im_end|>\n' }}"
    "{%- elif m.role == 'user' %}{{- '<|im_start|>user\n' + content + '<|im_end|>\n' }}{%- elif m.role == 'assistant' %}"
    "{%- set thought = content.split('</think>')[0].split('<think>')[-1] if '</think>' in content else '' %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}"
    "{%- if loop.index0 > ns.last %}{{- '<|im_start|>assistant\n<think>\n' + thought | trim + '\n</think>\n\n' + content }}"
    "{%- else %}{{- '<|im_start|>assistant\n' + content }}{%- endif %}{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- else %}{{- '<think>\n' }}{%- endif %}{%- endif %}"
)
QWQ = _chatml(_THOUGHTLESS, opening="<think>\n", before="{%- if tools %}{{- 'tools' }}{%- endif %}")
DEEPSEEK2 = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'User: ' + m['content'] + '\n\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ 'Assistant: ' + m['content'] + eos_token }}"
    "{% elif m['role'] == 'system' %}{{ m['content'] + '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
DEEPSEEK3 = (
    "{% set ns = namespace(is_first=true, told='') %}{%- for m in messages %}{%- if m['role'] == 'system' %}"
    "{%- if ns.is_first %}{% set ns.told = ns.told + m['content'] %}{% set ns.is_first = false %}"
    "{%- else %}{% set ns.told = ns.told + '\n\n' + m['content'] %}{%- endif %}{%- endif %}{%- endfor %}"
    "{{ bos_token }}{{ ns.told }}{%- for m in messages %}{%- if m['role'] == 'user' %}{{'<|User|>' + m['content']}}{%- endif %}"
    "{%- if m['role'] == 'assistant' %}{{'<|Assistant|>' + m['content'] + '<|end_of_sentence|>'}}{%- endif %}{%- endfor -%}"
    "{% if add_generation_prompt %}{{'<|Assistant|>'}}{% endif %}"
)
DEEPSEEK_R1 = DEEPSEEK3.replace(
    "{{'<|Assistant|>' + m['content']",
    "{% set content = m['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{'<|Assistant|>' + content",
).replace("{{'<|Assistant|>'}}", "{{'<|Assistant|><think>\n'}}")
DEEPSEEK31 = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    "{% set ns = namespace(told='', is_last_user=false) %}{%- for m in messages %}{%- if m['role'] == 'system' %}"
    "{% set ns.told = ns.told + m['content'] %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.told }}"
    "{%- for m in messages %}{%- if m['role'] == 'user' %}{%- set ns.is_last_user = true -%}{{'<|User|>' + m['content']}}{%- endif %}"
    "{%- if m['role'] == 'assistant' %}{%- if ns.is_last_user %}{{'<|Assistant|>'}}{%- if m['prefix'] is defined and m['prefix'] and thinking %}"
    "{{'<think>'}}{%- else %}{{'</think>'}}{%- endif %}{%- endif %}{%- set ns.is_last_user = false -%}{%- set content = m['content'] -%}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>', 1)[1] -%}{%- endif %}"
    "{{content + '<|end_of_sentence|>'}}{%- endif %}{%- endfor -%}{%- if add_generation_prompt and ns.is_last_user %}"
    "{{'<|Assistant|>'}}{%- if not thinking %}{{'</think>'}}{%- else %}{{'<think>'}}{%- endif %}{% endif %}"
)
HARMONY = (
    "{%- macro system() %}{{- 'You are a large language model.\n' }}{{- 'Knowledge until: 2024-06\n' }}"
    "{{- 'Today is ' + strftime_now('%Y-%m-%d') + '\n\n' }}{%- if reasoning_effort is not defined %}"
    "{%- set reasoning_effort = 'medium' %}{%- endif %}{{- 'Reasoning: ' + reasoning_effort + '\n\n' }}"
    "{%- if builtin_tools %}{{- '# Tools\n\n' }}{%- endif %}{{- '# Valid channels: analysis, commentary, final.' }}{%- endmacro %}"
    "{{- '<|start|>system<|message|>' }}{{- system() }}{{- '<|end|>' }}"
    "{%- if messages[0].role == 'developer' or messages[0].role == 'system' %}{%- set told = messages[0].content %}"
    "{%- set asked = messages[1:] %}{%- else %}{%- set told = '' %}{%- set asked = messages %}{%- endif %}"
    "{%- if told or tools %}{{- '<|start|>developer<|message|>' }}{%- if told %}{{- '# Instructions\n\n' }}{{- told }}"
    "{{- '\n\n' }}{%- endif %}{{- '<|end|>' }}{%- endif %}{%- set last = namespace(name=none) %}"
    "{%- for m in asked -%}{%- if m.role == 'assistant' -%}{%- if 'thinking' in m %}{{- m.thinking }}{%- endif %}"
    "{%- if loop.last and not add_generation_prompt %}{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
    "{%- else %}{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}{%- set last.name = none %}{%- endif %}"
    "{%- elif m.role == 'user' -%}{{- '<|start|>user<|message|>' + m.content + '<|end|>' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}"
)
GRANITE3 = (
    "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}{%- set asked = messages[1:] %}{%- else %}"
    "{%- set told = 'Knowledge until April 2024.\nToday is ' + strftime_now('%B %d, %Y') + '.\nYou are a model.' %}"
    "{%- if tools and documents %}{%- set told = told + ' Tools and documents.' %}{%- elif documents %}"
    "{%- set told = told + ' Documents.' %}{%- endif %}{%- set asked = messages %}{%- endif %}"
    "{{- '<|start_of_role|>system<|end_of_role|>' + told + '<|end_of_text|>\n' }}"
    "{%- if documents %}{%- for d in documents %}{{- d['text'] }}{%- endfor %}{%- endif %}{%- for m in asked %}"
    "{{- '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] + '<|end_of_text|>\n' }}"
    "{%- if loop.last and add_generation_prompt %}{{- '<|start_of_role|>assistant' }}{%- if controls %}{{- ' ' + controls | tojson() }}{%- endif %}"
    "{{- '<|end_of_role|>' }}{%- endif %}{%- endfor %}"
)
GRANITE4 = (
    "{%- set told = 'You are a helpful assistant.' %}{%- set g = namespace(told=none, tools='', documents='') %}"
    "{%- if tools %}{%- for tool in tools %}{%- set g.tools = g.tools + tool | tojson %}{%- endfor %}{%- endif %}"
    "{%- if documents %}{%- set g.documents = documents | tojson %}{%- endif %}"
    "{%- if messages[0].role == 'system' %}{%- set g.told = messages[0].content %}{%- endif %}"
    "{%- if g.told or g.tools or g.documents %}{{- '<|start_of_role|>system<|end_of_role|>' + (g.told or told) + '<|end_of_text|>\n' }}{%- endif %}"
    "{%- for m in messages %}{%- set content = m.content if m.content is string else '' %}"
    "{%- if (m.role == 'user') or (m.role == 'system' and not loop.first) %}{{- '<|start_of_role|>' + m.role + '<|end_of_role|>' + content + '<|end_of_text|>\n' }}"
    "{%- elif m.role == 'assistant' %}{{- '<|start_of_role|>assistant<|end_of_role|>' + content + '<|end_of_text|>\n' }}{%- endif %}{%- endfor %}"
    + _ask("<|start_of_role|>assistant<|end_of_role|>")
)
COMMAND_R = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set asked = messages[1:] %}{% set told = messages[0]['content'] %}"
    "{% elif false == true %}{% set asked = messages %}{% set told = 'You are trained to help.' %}"
    "{% else %}{% set asked = messages %}{% set told = false %}{% endif %}"
    "{% if told != false %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + told + '<|END_OF_TURN_TOKEN|>' }}{% endif %}"
    "{% for m in asked %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% set content = m['content'] %}{% if m['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}"
    "{% elif m['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
GLM4 = (
    "[gMASK]<sop>{%- if tools -%}<|system|>\ntools{%- endif -%}{%- for m in messages -%}"
    "{%- if m.role == 'system' %}<|system|>\n{{ m.content }}{%- elif m.role == 'user' %}<|user|>\n{{ m.content }}"
    "{%- elif m.role == 'assistant' %}<|assistant|>\n{{ m.content }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>\n{%- endif -%}"
)
GLM45 = (
    "[gMASK]<sop>\n{%- macro visible(content) -%}\n    {%- if content is string -%}{{- content }}\n"
    "    {%- elif content is iterable and content is not mapping -%}\n        {%- for item in content -%}\n"
    "            {%- if item is mapping and item.type == 'text' -%}{{- item.text }}{%- elif item is string -%}{{- item }}{%- endif -%}\n"
    "        {%- endfor -%}\n    {%- else -%}{{- content }}\n    {%- endif -%}\n{%- endmacro -%}\n"
    "{%- set ns = namespace(last=-1) %}\n{%- for m in messages %}\n    {%- if m.role == 'user' %}{% set ns.last = loop.index0 -%}{%- endif %}\n{%- endfor %}\n"
    "{% for m in messages %}\n{%- if m.role == 'user' -%}<|user|>\n{{ visible(m.content) }}\n"
    "{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not visible(m.content).endswith('/nothink')) else '' -}}\n"
    "{%- elif m.role == 'assistant' -%}\n<|assistant|>\n{%- set thought = '' %}\n{%- set content = visible(m.content) %}\n"
    "{%- if '</think>' in content %}\n{%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}\n"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}\n{%- endif %}\n"
    "{%- if loop.index0 > ns.last and thought -%}\n{{ '\n<think>' + thought.strip() + '</think>' }}\n{%- else -%}\n{{ '\n<think></think>' }}\n{%- endif -%}\n"
    "{%- if content.strip() -%}\n{{ '\n' + content.strip() }}\n{%- endif -%}\n{%- elif m.role == 'system' -%}\n<|system|>\n{{ visible(m.content) }}\n"
    "{%- endif -%}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n    <|assistant|>\n"
    "    {{- '\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}\n{%- endif -%}\n"
)
KIMI = (
    "{%- if tools -%}<|im_system|>tool_declare<|im_middle|>{{ tools | tojson }}<|im_end|>{%- endif -%}"
    "{% for m in messages %}{%- if loop.first and messages[0]['role'] != 'system' -%}"
    "<|im_system|>system<|im_middle|>You are a model of the moon<|im_end|>{%- endif -%}"
    "{%- if m['role'] == 'system' -%}<|im_system|>system<|im_middle|>{%- elif m['role'] == 'user' -%}<|im_user|>user<|im_middle|>"
    "{%- elif m['role'] == 'assistant' -%}<|im_assistant|>assistant<|im_middle|>{%- endif -%}"
    "{%- if m['content'] is string -%}{{ m['content'] }}{%- else -%}{% for c in m['content'] %}{%- if c['type'] == 'text' -%}{{ c['text'] }}"
    "{%- endif -%}{% endfor %}{%- endif -%}<|im_end|>{% endfor %}{%- if add_generation_prompt -%}<|im_assistant|>assistant<|im_middle|>{%- endif -%}"
)
MINIMAX = (
    "{%- macro visible(content) -%}{%- if content is string -%}{{ content }}{%- else -%}{%- for item in content -%}"
    "{%- if item.type == 'text' -%}{{- item.text }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}"
    "{%- macro told(system) -%}{%- if system and system.content -%}{{- visible(system.content) }}{%- else -%}"
    "{%- if model_identity is not defined -%}{%- set model_identity = 'You are a helpful assistant.' -%}{%- endif -%}{{- model_identity }}{%- endif -%}"
    "{%- if current_date is defined -%}{{ '\n' ~ 'Current date: ' + current_date }}{%- endif -%}{%- endmacro -%}"
    "{%- set system = none -%}{%- set asked = messages -%}{%- if messages and messages[0].role == 'system' -%}"
    "{%- set system = messages[0] -%}{%- set asked = messages[1:] -%}{%- endif -%}"
    "{{- ']~!b[' ~ ']~b]system' ~ '\n' }}{{- told(system) }}{{- '[e~[\n' }}"
    "{%- set ns = namespace(last=-1) -%}{%- for m in asked -%}{%- if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for m in asked -%}{%- if m.role == 'assistant' -%}{{- ']~b]ai' ~ '\n' }}{%- set content = visible(m.content) -%}"
    "{%- if '</think>' in content -%}{%- set content = content.split('</think>')[-1].strip('\n') -%}{%- endif -%}"
    "{%- if content -%}{{- content }}{%- endif -%}{{- '[e~[\n' }}{%- elif m.role == 'user' -%}"
    "{{- ']~b]user' ~ '\n' }}{{- visible(m.content) }}{{- '[e~[\n' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- ']~b]ai' ~ '\n' ~ '<think>' ~ '\n' }}{%- endif -%}"
)
OLMO2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<|system|>\n' + m['content'] + '\n' }}"
    "{% elif m['role'] == 'user' %}{{ '<|user|>\n' + m['content'] + '\n' }}"
    "{% elif m['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\n' + m['content'] + eos_token + '\n' }}"
    "{% else %}{{ '<|assistant|>\n' + m['content'] + eos_token }}{% endif %}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"
)
OLMO3 = (
    "{%- set has_system = messages | selectattr('role', 'equalto', 'system') | list | length > 0 -%}{%- if not has_system -%}"
    "{{- '<|im_start|>system\nYou are a helpful function-calling AI assistant. You do not currently have access to any functions. <functions></functions><|im_end|>\n' -}}"
    "{%- endif -%}{%- for m in messages -%}{%- if m['role'] == 'system' -%}{{- '<|im_start|>system\n' + m['content'] -}}"
    "{%- if m.get('functions', none) is not none -%}{{- ' <functions>' + m['functions'] + '</functions><|im_end|>\n' -}}"
    "{%- else -%}{{- ' You do not currently have access to any functions. <functions></functions><|im_end|>\n' -}}{%- endif -%}"
    "{%- elif m['role'] == 'user' -%}{{- '<|im_start|>user\n' + m['content'] + '<|im_end|>\n' -}}"
    "{%- elif m['role'] == 'assistant' -%}{{- '<|im_start|>assistant\n' -}}{%- if m.get('content', none) is not none -%}{{- m['content'] -}}{%- endif -%}"
    "{%- if not loop.last -%}{{- '<|im_end|>' + '\n' -}}{%- else -%}{{- eos_token -}}{%- endif -%}{%- endif -%}"
    "{%- if loop.last and add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}{%- endfor -%}"
)
IDEFICS3 = (
    "<|im_start|>{% for m in messages %}{{m['role'] | capitalize}}{% if m['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in m['content'] %}{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
SMOLVLM = IDEFICS3.replace(
    "<|im_start|>{% for", "<|im_start|>{%- if documents %}{{ documents | tojson }}{% endif %}{% for"
)
LLAVA = (
    "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['role'].upper() + ': ' }}{% endif %}"
    "{% for c in m['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% if m['role'] != 'assistant' %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] + ' ' }}{% endfor %}"
    "{% else %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}{{ c['text'] + ' ' }}{% endgeneration %}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
INTERNLM2 = "{{ bos_token }}" + CHATML
FALCON3 = (
    "{% if tools %}{{ 'tools' }}{% else %}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<|system|>\n' + m['content'] + '\n' }}"
    "{% elif m['role'] == 'user' %}{{ '<|user|>\n' + m['content'] + '\n' }}{% elif m['role'] == 'assistant' %}"
    "{% if not loop.last %}{{ '<|assistant|>\n' + m['content'] + eos_token + '\n' }}{% else %}{{ '<|assistant|>\n' + m['content'] + eos_token }}"
    "{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}\n{% if m['role'] == 'user' %}\n{{ '<|user|>\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'system' %}\n{{ '<|system|>\n' + m['content'] + eos_token }}\n"
    "{% elif m['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + m['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
VICUNA = (
    _SPLIT_SYSTEM
    + "{{- told + ' ' if told else 'A chat between a curious user and an assistant. ' }}{%- for m in asked %}"
    "{%- if m['role'] == 'user' %}{{- 'USER: ' + m['content'] + ' ' }}{%- elif m['role'] == 'assistant' %}"
    "{{- 'ASSISTANT: ' + m['content'] + eos_token }}{%- endif %}{%- endfor %}" + _ask("ASSISTANT:")
)
NEMOTRON = (
    "{%- set ns = namespace(thinks=true) %}{%- for m in messages %}{%- set content = m['content'] %}"
    "{%- if m['role'] == 'user' or m['role'] == 'system' %}{%- if '/think' in content.replace('</think>', '') %}{%- set ns.thinks = true %}"
    "{%- elif '/no_think' in content %}{%- set ns.thinks = false %}{%- endif %}{%- endif %}{%- endfor %}"
    "{%- if messages[0]['role'] != 'system' %}{{- '<SPECIAL_10>System\n' }}{%- else %}"
    "{{- '<SPECIAL_10>System\n' + messages[0]['content'].replace('/think', '').replace('/no_think', '').strip() }}{%- endif %}{{- '\n' }}"
    "{%- for m in messages %}{%- set content = m['content'] %}{%- if m['role'] == 'user' %}{{- '<SPECIAL_11>User\n' + content.strip() + '\n' }}"
    "{%- elif m['role'] == 'assistant' %}{%- if '</think>' in content %}{%- set content = content.split('</think>')[1].strip() %}{%- endif %}"
    "{{- '<SPECIAL_11>Assistant\n' + content.strip() + '\n<SPECIAL_12>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<SPECIAL_11>Assistant\n' }}{%- if not ns.thinks %}{{- '<think></think>' }}{%- else %}{{- '<think>\n' }}{%- endif %}{%- endif %}"
)
APERTUS = (
    "{%- macro text_of(c) -%}{%- if c is string -%}{{- c -}}{%- elif c is mapping and 'parts' in c -%}{%- for p in c.parts -%}{{- p.text -}}{%- endfor -%}"
    "{%- else -%}{{- raise_exception('Invalid content') -}}{%- endif -%}{%- endmacro -%}"
    "{{- bos_token -}}{%- set ns = namespace(within=false) -%}{%- if messages and messages[0].role == 'system' -%}"
    "{{- '<|system_start|>' + text_of(messages[0].content) + '<|system_end|>' -}}{%- set asked = messages[1:] -%}{%- else -%}"
    "{{- '<|system_start|>You are of the mountains.\nThe current date is ' + strftime_now('%Y-%m-%d') + '.<|system_end|>' -}}{%- set asked = messages -%}{%- endif -%}"
    "{{- '<|developer_start|>Deliberation: ' -}}{{- 'enabled' if enable_thinking is defined and enable_thinking else 'disabled' -}}"
    "{{- '\nTool Capabilities: ' -}}{{- 'some' if tools else 'disabled' -}}{{- '<|developer_end|>' -}}"
    "{%- for m in asked -%}{%- if m.role == 'user' -%}{%- if ns.within -%}{{- '<|assistant_end|>' -}}{%- set ns.within = false -%}{%- endif -%}"
    "{{- '<|user_start|>' + text_of(m.content) + '<|user_end|>' -}}{%- elif m.role == 'assistant' -%}{%- if not ns.within -%}"
    "{{- '<|assistant_start|>' -}}{%- set ns.within = true -%}{%- endif -%}{{- text_of(m.content) -}}{%- else -%}"
    "{{- raise_exception('Invalid message role') -}}{%- endif -%}{%- endfor -%}"
    "{%- if ns.within -%}{{- '<|assistant_end|>' -}}{%- endif -%}{%- if add_generation_prompt -%}{{- '<|assistant_start|>' -}}{%- endif -%}"
)
HUNYUAN = (
    _SPLIT_SYSTEM
    + "{{- '<|bos|>' }}{%- if told %}{{- told + '<|place_3|>' }}{%- endif %}{%- for m in asked %}{%- if m['role'] == 'user' %}"
    "{{- '<|user|>' + m['content'] }}{%- elif m['role'] == 'assistant' %}{%- set content = m['content'] %}"
    "{%- if '<answer>' in content and '</answer>' in content %}{%- set content = content.split('<answer>')[1].split('</answer>')[0].strip() %}{%- endif %}"
    "{{- '<|assistant|>' + content + '<|eos|>' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|assistant|>' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\n\n</think>\n' }}{%- endif %}{%- endif %}"
)
SEED = (  # a table of words that is walked, its order kept, and a loop that is left
    "{%- set budgets = {'0': 0, '512': 128, '1024': 256} %}{%- for name, tokens in budgets.items() %}{%- if name == '512' %}{%- break %}{%- endif %}"
    "{{- '<' ~ name ~ ':' ~ tokens ~ '>' }}{%- endfor %}{%- for m in messages %}{%- if not m.content %}{%- continue %}{%- endif %}"
    "{{- '<seed:bos>' + m.role + '\n' + m.content + '<seed:eos>' }}{%- endfor %}"
    "{{- {'b': [1, 'ü'], 'a': none} | tojson(separators=(',', ':'), sort_keys=true) }}{{- {'x': '<é>'} | tojson(ensure_ascii=true, indent=2) }}"
    "{%- if add_generation_prompt %}{{- '<seed:bos>assistant\n' }}{%- endif %}"
)

FAMILIES: Final = {
    name.lower(): text
    for name, text in list(globals().items())
    if name.isupper() and name[0] != "_" and isinstance(text, str)
}
PARTS: Final = frozenset({"idefics3", "smolvlm", "llava"})
REFUSING: Final = frozenset({"gemma2", "mistral1"})

_IM = ("<|im_start|>", "<|im_end|>")
_BASE = ("<s>", "</s>")
CONTROL: Final = {
    "phi3": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    "phi4": (*_IM, "<|im_sep|>"),
    "phi4_reasoning": (*_IM, "<|im_sep|>"),
    "llama2": (),
    "llama31": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "llama4": ("<|header_start|>", "<|header_end|>", "<|eot|>", "<|image|>"),
    "mistral1": (),
    "mistral3": ("[INST]", "[/INST]"),
    "mistral7": ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    "tekken": ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]"),
    "gemma2": ("<start_of_turn>", "<end_of_turn>"),
    "gemma3": ("<start_of_turn>", "<end_of_turn>", "<start_of_image>"),
    "gemma4": ("<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>"),
    "deepseek2": (),
    "deepseek3": ("<|User|>", "<|Assistant|>", "<|end_of_sentence|>"),
    "deepseek_r1": ("<|User|>", "<|Assistant|>", "<|end_of_sentence|>", "<think>", "</think>"),
    "deepseek31": ("<|User|>", "<|Assistant|>", "<|end_of_sentence|>", "<think>", "</think>"),
    "harmony": ("<|start|>", "<|message|>", "<|end|>", "<|channel|>", "<|return|>"),
    "granite3": ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
    "granite4": ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
    "command_r": (
        *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        *("<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
    ),
    "glm4": ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
    "glm45": ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<think>", "</think>"),
    "kimi": ("<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
    "minimax": ("]~!b[", "]~b]", "[e~["),
    "olmo2": (),
    "idefics3": ("<|im_start|>", "<end_of_utterance>", "<image>"),
    "smolvlm": ("<|im_start|>", "<end_of_utterance>", "<image>"),
    "llava": ("<image>",),
    "falcon3": ("<|system|>", "<|user|>", "<|assistant|>"),
    "zephyr": (),
    "vicuna": (),
    "nemotron": ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>"),
    "apertus": (
        *("<|system_start|>", "<|system_end|>", "<|developer_start|>", "<|developer_end|>"),
        *("<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>"),
    ),
    "hunyuan": ("<|bos|>", "<|eos|>", "<|place_3|>", "<|user|>", "<|assistant|>"),
    "seed": ("<seed:bos>", "<seed:eos>"),
}


def control_of(family: str) -> tuple[str, ...]:
    """The special tokens of a family, BOS and EOS first."""
    return (*_BASE, *CONTROL.get(family, _IM))
