"""Completions from a server: each problem gets its own, whatever the server does, and the key goes nowhere else."""

from __future__ import annotations

import base64
import io
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anectl.core.errors import AnectlError, RowError, UsageError
from anectl.core.images import ImageRef
from anectl.core.prompts import conversation
from anectl.core.protocols import Draw, PromptRequest, SamplingParams
from anectl.core.records import Message
from anectl.engines.openai_chat import chat_messages, data_uri, without_vision_tokens
from anectl.engines.openai_client import checked_url
from anectl.engines.openai_sampler import OpenAISampler
from tests.chat_server import Answer, Body, ChatServer, completion, failure, prompt_of

PARAMS = SamplingParams(temperature=1.0, top_p=0.9, max_tokens=16)
KEY = "sk-very-secret-0123456789"


def problems(count: int, num_samples: int = 1) -> list[PromptRequest]:
    """Requests without images, which say their number."""
    return [
        PromptRequest(f"k{i}", conversation(f"q{i}"), (), tuple(range(100 * i, 100 * i + num_samples)))
        for i in range(count)
    ]


def sampler(server: ChatServer, **options: Any) -> OpenAISampler:
    return OpenAISampler("m", url=server.url, **options)


def texts(draws: Iterable[tuple[Draw, ...]]) -> list[list[str]]:
    return [[draw.text for draw in group] for group in draws]


@pytest.mark.parametrize(
    "option",
    [{"concurrency": 0}, {"timeout_s": "x"}, {"patience_s": float("nan")}, {"n_per_request": 0}, {"extra_body": "x"}],
)
def test_an_option_that_makes_no_sense_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        OpenAISampler("m", url="http://localhost:8000", **option)


def first_time(script: Any) -> Any:
    """A script for the first time each prompt is asked; the second time it is answered."""
    seen: set[str] = set()

    def run(body: Body, number: int) -> Answer | Body:
        prompt = prompt_of(body)
        if prompt in seen:
            return completion(body)
        seen.add(prompt)
        answer: Answer | Body = script(body, number)
        return answer

    return run


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("https://h/openai/v1/", "https://h/openai/v1"),
    ],
)
def test_a_url_without_a_path_gets_v1(url: str, expected: str) -> None:
    assert checked_url(url) == expected


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://h/v1", "http://", "http://me:pass-word@h/v1", "http://h/v1?key=pass-word", "http://[/"],
)
def test_a_bad_url_is_refused_and_a_password_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_url(url)
    assert "pass-word" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <image>b<|image_pad|> 3", "a b 3"),
        ("<row_1_col_2>x[IMG_END]", "x"),
        ("<im<image>age> 4", "  4"),
        ("a < b <img src=x> [i] <|end|>", "a < b <img src=x> [i] <|end|>"),
    ],
)
def test_spelled_image_tokens_are_taken_out(text: str, expected: str) -> None:
    assert without_vision_tokens(text) == expected


def test_taking_image_tokens_out_takes_linear_time() -> None:
    started = time.process_time()
    without_vision_tokens("<im" * 300_000 + "age>" * 100_000)
    without_vision_tokens("<row_1_col_" * 100_000)
    assert time.process_time() - started < 1


def picture(path: Path, image: Image.Image, **options: Any) -> ImageRef:
    image.save(path, **options)
    return ImageRef(path.name, str(path))


def seen(uri: str) -> tuple[str, Image.Image]:
    """The MIME type and the pixels of a data URI."""
    head, _, body = uri.partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), Image.open(io.BytesIO(base64.b64decode(body)))


def test_an_image_travels_as_it_is_where_servers_see_the_same_in_it(tmp_path: Path) -> None:
    plain = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
    for suffix, mime in (("png", "image/png"), ("jpg", "image/jpeg"), ("webp", "image/webp")):
        ref = picture(tmp_path / f"a.{suffix}", plain)
        kind, image = seen(data_uri(ref))
        assert kind == mime
        assert image.convert("RGB").tobytes() == ref.open().tobytes()
        assert base64.b64decode(data_uri(ref).partition(",")[2]) == ref.read()


def test_any_other_image_travels_as_a_png_of_what_local_engines_see(tmp_path: Path) -> None:
    plain = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = plain.convert("RGBA")
    clear.putalpha(90)
    refs = [
        picture(tmp_path / "a.jpg", plain, exif=turned),
        picture(tmp_path / "b.tiff", plain),
        picture(tmp_path / "c.bmp", plain),
        picture(tmp_path / "d.png", clear),
        picture(tmp_path / "e.gif", plain),
        picture(tmp_path / "f.jpg", plain.convert("CMYK")),
        picture(tmp_path / "g.webp", plain, save_all=True, append_images=[plain.rotate(90)]),
    ]
    for ref in refs:
        kind, image = seen(data_uri(ref))
        assert (kind, image.mode) == ("image/png", "RGB")
        assert image.tobytes() == ref.open().tobytes(), ref.ref


def test_images_stand_where_the_text_says_so(tmp_path: Path) -> None:
    one, two = (picture(tmp_path / f"{n}.png", Image.new("RGB", (4, 4), (n, 0, 0))) for n in (1, 2))
    system = Message(role="system", content="Be brief.")

    def kinds(text: str, *images: ImageRef) -> list[str]:
        messages = (system, *conversation(text))
        parts = chat_messages(PromptRequest("k", messages, images, (0,)))[1]["content"]
        return [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in parts]

    a, b = data_uri(one), data_uri(two)
    assert kinds("What?", one, two) == [a, b, "What?"]
    assert kinds("Is <image> like <image>?", one, two) == ["Is ", a, " like ", b, "?"]
    assert chat_messages(PromptRequest("k", (system, *conversation("Hi")), (), (0,))) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    with pytest.raises(RowError, match="2 times, but there are 1"):
        kinds("<image> <image>", one)
    with pytest.raises(RowError, match="no user turn"):
        chat_messages(PromptRequest("k", (system,), (one,), (0,)))
    with pytest.raises(RowError, match=r"image token '<\|image_pad\|>'"):
        chat_messages(PromptRequest("k", conversation("a <|image_pad|>"), (one,), (0,)), ["<|image_pad|>"])
    with pytest.raises(RowError, match="prefix"):
        chat_messages(PromptRequest("k", conversation("q"), (), (0,), prefix="<image>"))


def test_all_samples_of_a_problem_are_one_request_to_vllm() -> None:
    with ChatServer() as server:
        draws = list(sampler(server).sample(problems(3, 4), PARAMS))
    assert texts(draws) == [[f"q{i} {100 * i // 2} {n}" for n in range(4)] for i in range(3)]
    assert {(draw.num_tokens, draw.logprob, draw.finish_reason) for group in draws for draw in group} == {
        (4, -2.0, "stop")
    }
    body = min(server.requests, key=lambda body: body["seed"])
    assert {name: body[name] for name in body if name != "messages"} == {
        "model": "m",
        "n": 4,
        "seed": 0,
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 16,
        "logprobs": True,
    }


@pytest.mark.parametrize("owner", ["sglang", "llamacpp", "somebody", None])
def test_other_servers_get_a_request_per_sample_with_its_own_seed(owner: str | None) -> None:
    with ChatServer(owner=owner) as server:
        draws = list(sampler(server).sample(problems(2, 3), PARAMS))
    assert texts(draws) == [[f"q{i} {100 * i + n} 0" for n in range(3)] for i in range(2)]


def test_seeds_fit_any_server() -> None:
    huge = PromptRequest("k", conversation("q"), (), (2**63 - 1, 2**63 - 2))
    with ChatServer() as vllm, ChatServer(owner=None) as other:
        list(sampler(vllm).sample([huge], PARAMS))
        list(sampler(other).sample([huge], PARAMS))
    assert [body["seed"] + body["n"] < 2**63 for body in vllm.requests] == [True]
    assert {body["seed"] for body in other.requests} == {2**31 - 1, 2**31 - 2}


def test_draws_come_in_order_though_answers_do_not() -> None:
    with ChatServer(lambda body, number: Answer(completion(body), delay_s=0.05 * (3 - number % 4))) as server:
        engine = sampler(server, concurrency=8)
        ordered = texts(engine.sample(problems(24), PARAMS))
        unordered = list(engine.sample_unordered(problems(24), PARAMS))
    assert [group[0].split()[0] for group in ordered] == [f"q{i}" for i in range(24)]
    assert [number for number, _ in unordered] != list(range(24))
    assert all(draws[0].text.startswith(f"q{number} ") for number, draws in unordered)
    assert sorted(number for number, _ in unordered) == list(range(24))


@pytest.mark.parametrize("num_samples", [1, 4])
def test_concurrency_is_reached_and_kept_to(num_samples: int) -> None:
    with ChatServer(lambda body, number: Answer(completion(body), delay_s=0.2), owner=None) as server:
        list(sampler(server, concurrency=8).sample(problems(32 // num_samples, num_samples), PARAMS))
    assert server.most_at_once == 8


@pytest.mark.parametrize("unordered", [False, True])
def test_requests_are_read_a_bounded_number_ahead(unordered: bool) -> None:
    read = []

    def source() -> Iterator[PromptRequest]:
        for request in problems(200):
            read.append(request.key)
            yield request

    with ChatServer() as server:
        engine = sampler(server, concurrency=4)
        draws = engine.sample_unordered(source(), PARAMS) if unordered else engine.sample(source(), PARAMS)
        for given, _ in enumerate(draws):
            assert len(read) - given <= 8


def test_images_are_read_late(tmp_path: Path) -> None:
    """An image that is not there is no trouble until its turn, and then only its row's."""
    rows = problems(12, 2)
    rows[7] = PromptRequest("k7", rows[7].messages, (ImageRef("gone.png", str(tmp_path / "gone.png")),), rows[7].seeds)
    with ChatServer() as server:
        draws = list(sampler(server, concurrency=2).sample(rows, PARAMS))
    assert [i for i, group in enumerate(draws) if any(draw.error for draw in group)] == [7]
    assert {draw.finish_reason for draw in draws[7]} == {"error"}
    assert "gone.png" in str(draws[7][0].error)


def trouble(name: str) -> Answer:
    return {
        "500": failure(500, "engine hiccup"),
        "503": failure(503, "still loading"),
        "408": failure(408, "slow"),
        "reset": Answer(reset=True),
        "garbage": Answer(b"<html>gateway</html>"),
        "cut": Answer(b'{"choices": [{"mess'),
        "no choice": Answer({"choices": []}),
        "null": Answer({"choices": [{"message": None}]}),
        "abort": Answer({"choices": [{"message": {"content": "So"}, "finish_reason": "abort"}]}),
    }[name]


@pytest.mark.parametrize("name", ["500", "503", "408", "reset", "garbage", "cut", "no choice", "null", "abort"])
def test_what_fails_once_is_tried_again(name: str) -> None:
    with ChatServer(first_time(lambda body, number: trouble(name))) as server:
        draws = texts(sampler(server).sample(problems(6), PARAMS))
    assert [group[0].split()[0] for group in draws] == [f"q{i}" for i in range(6)]
    assert len(server.requests) == 12


def test_a_request_that_always_fails_is_given_up_alone() -> None:
    def script(body: Body, number: int) -> Answer | Body:
        return failure(500, "cursed prompt") if prompt_of(body) == "q3" else completion(body)

    with ChatServer(script) as server:
        draws = list(sampler(server, retries=2).sample(problems(8, 2), PARAMS))
    assert [group[0].error for group in draws if group[0].error] == ["HTTP 500: cursed prompt (tried 3 times)"]
    assert [draw.finish_reason for draw in draws[3]] == ["error", "error"]


def test_a_request_the_server_refuses_is_not_tried_again() -> None:
    def script(body: Body, number: int) -> Answer | Body:
        return failure(400, "prompt too long") if prompt_of(body) == "q3" else completion(body)

    with ChatServer(script) as server:
        draws = list(sampler(server).sample(problems(8), PARAMS))
    assert [group[0].error for group in draws] == [None] * 3 + ["HTTP 400: prompt too long"] + [None] * 4
    assert len(server.requests) == 8


def test_retry_after_is_kept_to_by_all() -> None:
    def script(body: Body, number: int) -> Answer | Body:
        return failure(429, "slow down", headers={"retry-after": "1"}) if number == 0 else completion(body)

    with ChatServer(script) as server:
        draws = texts(sampler(server, concurrency=2).sample(problems(12), PARAMS))
    assert [group[0].split()[0] for group in draws] == [f"q{i}" for i in range(12)]
    waited = [moment - server.times[0] for moment in server.times]
    assert sum(moment < 0.95 for moment in waited) <= 4


def test_refusals_do_not_use_up_tries() -> None:
    def script(body: Body, number: int) -> Answer | Body:
        return failure(429, "slow down") if number < 8 else completion(body)

    with ChatServer(script) as server:
        draws = list(sampler(server, concurrency=4, retries=0, retry_budget=0).sample(problems(4), PARAMS))
    assert not any(group[0].error for group in draws)


def test_requests_keep_to_a_rate() -> None:
    with ChatServer() as server:
        started = time.monotonic()
        list(sampler(server, requests_per_minute=600).sample(problems(8), PARAMS))
    # The list of models is a request too.
    assert all(moment - started > 0.1 * number for number, moment in enumerate(server.times, start=1))


def test_a_byte_now_and_then_is_no_answer() -> None:
    with ChatServer(first_time(lambda body, number: Answer(completion(body), drip_s=0.02))) as server:
        draws = list(sampler(server, timeout_s=0.4).sample(problems(2), PARAMS))
    assert not any(group[0].error for group in draws)
    assert len(server.requests) == 4


def test_fewer_choices_than_asked_for_are_made_up_for() -> None:
    notes: list[str] = []
    with ChatServer(lambda body, number: completion(body, f"{prompt_of(body)} {body['seed']}")) as server:
        draws = texts(sampler(server, concurrency=1, log=notes.append).sample(problems(3, 4), PARAMS))
    assert draws == [[f"q{i} {(100 * i + n) // 2}" for n in range(4)] for i in range(3)]
    assert [body.get("n") for body in server.requests] == [4] + [None] * 12
    assert len(notes) == 1


def test_more_choices_than_asked_for_are_cut() -> None:
    with ChatServer(lambda body, number: completion(body, "a", "b", "c")) as server:
        assert texts(sampler(server).sample(problems(1, 2), PARAMS)) == [["a", "b"]]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("logprobs", "Unsupported parameter: 'logprobs' is not supported with this model."),
        ("seed", "Unrecognized request argument supplied: 'seed'"),
        ("n", "`n` > 1 is not supported"),
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
    ],
)
def test_a_field_that_the_server_does_not_know_is_left_out(field: str, message: str) -> None:
    notes: list[str] = []

    def script(body: Body, number: int) -> Answer | Body:
        return failure(400, message) if field in body else completion(body)

    with ChatServer(script) as server:
        draws = list(sampler(server, concurrency=1, log=notes.append).sample(problems(4, 2), PARAMS))
    assert not any(draw.error for group in draws for draw in group)
    assert sum(field in body for body in server.requests) == 1
    assert field != "max_tokens" or server.requests[-1]["max_completion_tokens"] == 16
    assert any(repr(field) in note for note in notes)


def test_tokens_are_counted_without_logprobs() -> None:
    usage = {"usage": {"completion_tokens": 7}}
    with ChatServer(lambda body, number: completion(body) | usage, owner=None) as server:
        draws = list(sampler(server, logprobs=False).sample(problems(1, 2), PARAMS))
    assert [(draw.num_tokens, draw.logprob) for draw in draws[0]] == [(7, None), (7, None)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", ("stop", False)),
        ("length", ("length", False)),
        ("content_filter", ("error", True)),
        ("tool_calls", ("error", True)),
    ],
)
def test_how_a_completion_ended_is_kept(reason: str, expected: tuple[str, bool]) -> None:
    with ChatServer(lambda body, number: completion(body, "t", finish_reason=reason)) as server:
        (draw,) = next(iter(sampler(server).sample(problems(1), PARAMS)))
    assert (draw.finish_reason, draw.error is not None) == expected


def test_thoughts_that_the_server_keeps_apart_are_a_part_of_the_completion() -> None:
    def script(body: Body, number: int) -> Body:
        reply = completion(body, "3")
        reply["choices"][0]["message"]["reasoning"] = "1 + 2"
        return reply

    with ChatServer(script) as server:
        assert texts(sampler(server).sample(problems(1), PARAMS)) == [["<think>1 + 2</think>3"]]


def test_a_prefix_is_continued_where_servers_can() -> None:
    request = PromptRequest("k", conversation("q"), (), (0,), prefix="So it")
    with ChatServer() as vllm, ChatServer(owner=None) as other:
        list(sampler(vllm).sample([request], PARAMS))
        with pytest.raises(AnectlError, match="continue") as caught:
            list(sampler(other).sample([request], PARAMS))
        forced = sampler(other, extra_body={"continue_final_message": True})
        list(forced.sample([request], PARAMS))
    assert caught.value.hint is not None
    body = vllm.requests[0]
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert body["messages"][-1] == {"role": "assistant", "content": "So it"}


def test_extra_fields_go_along_but_never_for_ours() -> None:
    with ChatServer() as server:
        list(
            sampler(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}}).sample(problems(1), PARAMS)
        )
        with pytest.raises(UsageError, match="seed"):
            sampler(server, extra_body={"seed": 1})
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (failure(401, "Incorrect API key provided"), "Incorrect API key"),
        (failure(403, "no access"), "no access"),
        (failure(404, "The model does not exist"), "does not exist"),
        (failure(429, "You exceeded your quota", code="insufficient_quota"), "quota"),
        (failure(429, "tomorrow", headers={"retry-after": "86400"}), "86400 s"),
    ],
)
def test_what_no_request_can_pass_ends_the_run_at_once(answer: Answer, match: str) -> None:
    def script(body: Body, number: int) -> Answer | Body:
        return answer if prompt_of(body) == "q5" else Answer(completion(body), delay_s=0 if number < 5 else 20)

    with ChatServer(script) as server:
        started = time.monotonic()
        draws = sampler(server, concurrency=4).sample(problems(30), PARAMS)
        got = []
        with pytest.raises(AnectlError, match=match) as caught:
            got.extend(next(draws) for _ in range(30))
    assert time.monotonic() - started < 15
    assert caught.value.hint
    assert len(server.requests) <= 9


def test_a_model_that_is_not_served_is_told_before_any_request() -> None:
    with ChatServer() as server, pytest.raises(AnectlError, match="no model 'other'") as caught:
        list(OpenAISampler("other", url=server.url).sample(problems(1), PARAMS))
    assert caught.value.hint == "--model is one of: m"
    assert not server.requests


def test_a_server_that_is_killed_and_comes_back_loses_nothing() -> None:
    notes: list[str] = []
    with ChatServer(lambda body, number: Answer(completion(body), delay_s=0.05)) as server:

        def restart() -> None:
            for _ in range(3):
                time.sleep(0.3)
                server.kill()
                time.sleep(0.3)
                server.start()

        restarting = threading.Thread(target=restart)
        restarting.start()
        draws = texts(sampler(server, concurrency=4, log=notes.append).sample(problems(150, 2), PARAMS))
        restarting.join()
    assert draws == [[f"q{i} {100 * i // 2} {n}" for n in range(2)] for i in range(150)]
    assert any("trying again" in note for note in notes)


def test_patience_with_a_server_that_is_away_ends() -> None:
    server = ChatServer()
    server.start()
    server.kill()
    started = time.monotonic()
    with pytest.raises(AnectlError, match="has not answered") as caught:
        list(sampler(server, patience_s=1).sample(problems(40), PARAMS))
    assert 0.9 < time.monotonic() - started < 8
    assert "--resume" in str(caught.value.hint)


def test_a_server_that_fails_more_than_it_answers_ends_the_run() -> None:
    match = "5 times more often than it answered, last with: HTTP 500: broken"
    with ChatServer(lambda body, number: failure(500, "broken")) as server, pytest.raises(AnectlError, match=match):
        list(sampler(server, retry_budget=5).sample(problems(40), PARAMS))


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    notes: list[str] = []

    def script(body: Body, number: int) -> Answer | Body:
        names = {"q1": failure(400, f"bad key {KEY}?"), "q2": failure(503, f"no {KEY}"), "q3": Answer(reset=True)}
        return names.get(prompt_of(body), completion(body)) if number < 8 else failure(401, f"Wrong key: {KEY}")

    with ChatServer(script) as server:
        engine = sampler(server, log=notes.append, concurrency=2)
        shown = [repr(vars(engine))]
        with pytest.raises(AnectlError) as caught:
            shown.extend(map(repr, engine.sample(problems(40), PARAMS)))
    assert server.keys == {f"Bearer {KEY}"}
    assert "[key]" in str(caught.value)
    everything = [*shown, *notes, str(caught.value), str(caught.value.hint), caplog.text, json.dumps(server.requests)]
    assert not any(KEY in text for text in everything)


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ChatServer() as server:
        assert len(list(sampler(server).sample(problems(2), PARAMS))) == 2


def test_nothing_is_left_running_when_the_consumer_stops() -> None:
    with ChatServer(lambda body, number: Answer(completion(body), delay_s=0 if number < 4 else 30)) as server:
        draws = sampler(server, concurrency=4).sample(problems(50), PARAMS)
        next(draws)
        started = time.monotonic()
        draws.close()  # type: ignore[attr-defined]
        assert time.monotonic() - started < 2
    assert "anectl-requests" not in {thread.name for thread in threading.enumerate()}


def test_ctrl_c_leaves_promptly() -> None:
    program = """
import sys
from anectl.core.prompts import conversation
from anectl.core.protocols import PromptRequest, SamplingParams
from anectl.engines.openai_sampler import OpenAISampler
requests = [PromptRequest(str(i), conversation("q"), (), (i,)) for i in range(50)]
print("begin", flush=True)
list(OpenAISampler("m", url=sys.argv[1]).sample(requests, SamplingParams(1.0, 1.0, 8)))
"""
    with ChatServer(lambda body, number: Answer(completion(body), delay_s=60)) as server:
        running = subprocess.Popen(
            [sys.executable, "-c", program, server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A background shell hands SIGINT down as ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            deadline = time.monotonic() + 20
            while len(server.requests) < 32 and time.monotonic() < deadline:
                time.sleep(0.05)
            started = time.monotonic()
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=10)
        finally:
            running.kill()
    assert time.monotonic() - started < 5
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "never retrieved" not in err
    assert "destroyed" not in err
