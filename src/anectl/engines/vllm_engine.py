"""A vLLM engine that takes requests one by one: the only module that imports vllm, and only in the worker's process."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from transformers import GenerationConfig
from vllm import LLM, EngineArgs, SamplingParams
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind

from anectl.core.errors import AnectlError, RowError
from anectl.core.protocols import Draw
from anectl.engines.processors import adapter_base, first_line, load_config, load_processor
from anectl.engines.prompt_encoding import PromptRenderer
from anectl.engines.token_roles import stop_token_ids, vision_token_ids
from anectl.engines.vllm_adapters import adapter_arguments
from anectl.engines.vllm_messages import Ask, Start

_BAN = -100.0
_SEED_BITS = 62  # vLLM adds the number of a completion to the seed, and torch takes 63 bits
_ADAPTER_NUMBER = 1


class VllmEngine:
    """A loaded model and the requests it is at work on, known by the numbers of their messages."""

    def __init__(self, start: Start) -> None:
        """Raises AnectlError: no such checkpoint, an adapter or an argument that vLLM does not serve."""
        given = dict(start.engine_args)
        template_arguments = given.pop("chat_template_kwargs", None)  # not vLLM's: prompts are rendered here
        base = adapter_base(start.model)
        config, self._processor = load_config(start.model), load_processor(start.model)
        about = SimpleNamespace(config=config, generation_config=_generation_config(base or start.model, config))
        banned = vision_token_ids(about, self._processor)
        self._hidden = frozenset(banned)
        self._stops = stop_token_ids(about, self._processor)
        self._bias = dict.fromkeys(banned, _BAN) or None
        self._renderer = PromptRenderer(self._processor, banned, template_arguments)
        self._adapter = None if base is None else LoRARequest("adapter", _ADAPTER_NUMBER, start.model)
        arguments: dict[str, Any] = {"model": base or start.model, "dtype": _dtype(start.dtype, config)}
        if base is not None:
            arguments |= adapter_arguments(start.model, given)
        self._engine = _load(arguments | _defaults(config, given) | given).llm_engine
        settings = self._engine.vllm_config
        self.max_num_seqs: int = settings.scheduler_config.max_num_seqs
        self._window: int = settings.model_config.max_model_len
        self._asked: dict[str, Ask] = {}

    def has_room(self) -> bool:
        """Whether fewer completions are waiting to be drawn than are drawn at a time."""
        return bool(self._engine.get_num_unfinished_requests() < 2 * self.max_num_seqs)

    def is_busy(self) -> bool:
        """Whether any completion is not finished."""
        return bool(self._asked)

    def add(self, ask: Ask) -> tuple[Draw, ...] | None:
        """Take up a request; draws at once where it cannot be drawn from."""
        request = ask.request()
        try:
            prompt: dict[str, Any] = {"prompt": self._renderer.render(request)}
            if request.images:
                prompt["multi_modal_data"] = {"image": [image.open() for image in request.images]}
            self._engine.add_request(
                str(ask.number),
                prompt,
                self._params(ask),
                lora_request=self._adapter,
                # The template has written the special tokens already.
                tokenization_kwargs={"add_special_tokens": False},
            )
        except RowError as error:
            return _failed(ask, error.problem)
        except Exception as error:  # processors raise many kinds on images and lengths they do not like
            return _failed(ask, self._refusal(error))
        self._asked[str(ask.number)] = ask
        return None

    def step(self) -> Iterator[tuple[int, tuple[Draw, ...]]]:
        """Draw a token of every completion at work; the number and the draws of each request that this finishes."""
        if not self._asked:
            return
        for output in self._engine.step():
            ask = self._asked.pop(output.request_id, None) if output.finished else None
            if ask is not None:
                draws = tuple(self._draw(completion) for completion in output.outputs)
                yield ask.number, draws if len(draws) == len(ask.seeds) else draws * len(ask.seeds)

    def forget(self) -> None:
        """Drop all requests."""
        self._engine.abort_request(list(self._asked))
        self._asked.clear()

    def close(self) -> None:
        """Stop the engine's own processes, where it has some."""
        self._engine.engine_core.shutdown()

    def _params(self, ask: Ask) -> SamplingParams:
        return SamplingParams(
            # Greedy completions are alike: one is drawn, and given as often as asked for.
            n=len(ask.seeds) if ask.temperature > 0 else 1,
            seed=ask.seeds[0] % (1 << _SEED_BITS),
            temperature=ask.temperature,
            top_p=ask.top_p,
            max_tokens=ask.max_tokens,
            logit_bias=self._bias,
            # What ends a completion is as for the other engines; the text is made from the tokens at the end.
            ignore_eos=True,
            stop_token_ids=self._stops,
            detokenize=False,
            logprobs=0,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _draw(self, completion: Any) -> Draw:
        tokens = list(completion.token_ids)
        if completion.finish_reason not in ("stop", "length"):
            return Draw("", "error", len(tokens), error=f"vLLM ended the completion: {completion.finish_reason}")
        stopped = completion.finish_reason == "stop"
        kept = [token for token in tokens[: len(tokens) - stopped] if token not in self._hidden]
        text = self._processor.tokenizer.decode(kept, skip_special_tokens=True)
        return Draw(text, "stop" if stopped else "length", len(tokens), float(completion.cumulative_logprob))

    def _refusal(self, error: Exception) -> str:
        text = first_line(error)
        if "maximum context length" in text or "max_model_len" in text or "maximum model length" in text:
            return f"the prompt does not fit into the context of {self._window} tokens"
        return f"vLLM refuses the prompt: {text}"


def _failed(ask: Ask, error: str) -> tuple[Draw, ...]:
    return (Draw("", "error", 0, error=error),) * len(ask.seeds)


def _load(arguments: dict[str, Any]) -> LLM:
    known = {field.name for field in fields(EngineArgs)} | inspect.signature(LLM.__init__).parameters.keys()
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            raise AnectlError(
                f"vLLM has no engine argument {name!r}",
                hint=f"near: {', '.join(near)}" if near else "the names are those of vllm.LLM, such as max_model_len",
            )
    return LLM(**arguments)


def _dtype(wanted: str, config: Any) -> str:
    """Always by name: vLLM's `auto` would make bfloat16 of a float32 checkpoint."""
    if wanted != "auto":
        return wanted
    if current_platform.is_cpu():
        return "float32"
    own = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None) or "bfloat16"
    return str(own).removeprefix("torch.")


def _defaults(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that the user may overrule: no videos, and what makes vLLM fit a machine without a GPU."""
    # The checkpoint's own sampling settings must not change what is asked for.
    defaults: dict[str, Any] = {"generation_config": "vllm", "limit_mm_per_prompt": {"video": 0}}
    if not current_platform.is_cpu():
        return defaults
    # One process; threads where the user's OMP_NUM_THREADS puts them.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    # Blocks of 128 tokens would cache no short prompt. A prompt taken in parts cannot have a seed on a CPU.
    defaults |= {"enforce_eager": True, "block_size": 32, "enable_chunked_prefill": False}
    if "VLLM_CPU_KVCACHE_SPACE" not in os.environ and "gpu_memory_utilization" not in given:
        defaults["kv_cache_memory_bytes"] = _cache_bytes(config.get_text_config(decoder=True), given)
    return defaults


def _cache_bytes(text: Any, given: Mapping[str, Any]) -> int:
    """What 64 full contexts need in float32, between 64 MiB and a quarter of the free memory."""
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    length = int(given.get("max_model_len") or text.max_position_embeddings)
    need = 64 * length * 2 * 4 * int(text.num_hidden_layers) * int(heads) * int(width)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(min(need, free // 4), 64 << 20)


def _generation_config(source: str, config: Any) -> GenerationConfig:
    try:
        return GenerationConfig.from_pretrained(source)
    except OSError:
        return GenerationConfig.from_model_config(config)
