from __future__ import annotations

import http.client
import io
import itertools
import json
import signal
import socket
import threading
import time
import zipfile

import numpy as np
import onnx
import pytest

from yardarm.digest import of_file
from yardarm_runtime.service import MAX_BODY

INPUT, OUTPUT = "x/in:0", "y.npy"


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def packed(**arrays):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array)
    return stream.getvalue()


@pytest.fixture
def port(make_bundle, serving):
    with serving(make_bundle()) as (_process, port):
        yield port


def test_health_tells_the_model(make_bundle, serving):
    bundle = make_bundle()
    with serving(bundle) as (_process, port):
        status, body = ask(port, "GET", "/health")
    assert status == 200
    assert json.loads(body) == {"ok": True, "model": of_file(bundle / "model.onnx")}


def test_golden_inputs_pass_through_the_serving_session(port):
    status, body = ask(port, "POST", "/golden")
    assert status == 200 and json.loads(body)["ok"]


def test_golden_that_is_gone_is_our_error(make_bundle, serving):
    bundle = make_bundle()
    with serving(bundle) as (_process, port):
        (bundle / "golden.npz").unlink()
        status, body = ask(port, "POST", "/golden")
        assert status == 500 and "golden.npz" in json.loads(body)["error"]
        assert ask(port, "GET", "/health")[0] == 200


def test_an_inference_takes_npz_and_gives_npz(make_bundle, serving, samples):
    bundle = make_bundle()
    weights = onnx.numpy_helper.to_array(onnx.load(bundle / "model.onnx").graph.initializer[0])
    with serving(bundle) as (_process, port):
        status, body = ask(port, "POST", "/infer", packed(**{INPUT: samples[:9]}))
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        answer = np.load(io.BytesIO(archive.read(f"{OUTPUT}.npy")))
    np.testing.assert_allclose(answer, samples[:9] @ weights, atol=1e-5)


def bomb():
    """A valid input in 80 kB that unpacks to 80 MB."""
    stream, entry = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(entry, np.zeros((2_500_000, 8), np.float32))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{INPUT}.npy", entry.getvalue())
    return stream.getvalue()


def lying():
    """A header that claims 8 TB in an entry of a few bytes."""
    stream, entry = io.BytesIO(), io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 38, 8)}
    np.lib.format.write_array_header_1_0(entry, header)
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{INPUT}.npy", entry.getvalue())
    return stream.getvalue()


GOOD = packed(**{INPUT: np.zeros((2, 8), np.float32)})

BAD = {
    "nothing": b"",
    "text": b"hello",
    "cut": GOOD[:-30],
    "flipped": GOOD[:150] + bytes([GOOD[150] ^ 1]) + GOOD[151:],
    "other name": packed(other=np.zeros((2, 8), np.float32)),
    "one more": packed(**{INPUT: np.zeros((2, 8), np.float32)}, more=np.zeros(1)),
    "dtype": packed(**{INPUT: np.zeros((2, 8))}),
    "byte order": packed(**{INPUT: np.zeros((2, 8), ">f4")}),
    "rank": packed(**{INPUT: np.zeros((2, 8, 1), np.float32)}),
    "width": packed(**{INPUT: np.zeros((2, 9), np.float32)}),
    "no samples": packed(**{INPUT: np.zeros((0, 8), np.float32)}),
    "scalar": packed(**{INPUT: np.float32(1)}),
    "pickle": packed(**{INPUT: np.array([{}], object)}),
    "bomb": bomb(),
    "lying": lying(),
}

REASONS = {
    "text": "not a npz archive",
    "other name": "the model takes ['x/in:0']",
    "dtype": "is float64, the model takes float32",
    "width": "has shape [2, 9], the model takes ['any', 8]",
    "bomb": "holds more than 67108864 bytes",
    "lying": "its size is not what its header says",
}


def test_bad_bodies_are_told_why_counted_and_survived(port):
    for name, body in BAD.items():
        status, answer = ask(port, "POST", "/infer", body)
        assert status == 400 and REASONS.get(name, "") in json.loads(answer)["error"], name
    assert ask(port, "POST", "/infer", GOOD)[0] == 200
    counted = json.loads(ask(port, "GET", "/counters")[1])
    assert counted["errors"] == len(BAD) and counted["requests"] == len(BAD) + 1
    assert counted["latency_us"]["count"] == 1


def test_other_paths_and_methods_are_refused(port):
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/infer/../health", 404),
        ("GET", "/infer", 405),
        ("POST", "/health", 405),
        ("DELETE", "/golden", 405),
    ):
        answer = ask(port, method, path)
        assert answer[0] == status and json.loads(answer[1])["error"], path


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_what_is_not_http_or_too_large_is_refused_and_survived(port):
    assert b" 400 " in raw(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert b" 400 " in raw(port, b"POST /infer HTTP/1.1\r\nContent-Length: -4\r\n\r\n")
    announced = b"POST /infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
    assert b" 413 " in raw(port, announced + b"x")
    assert raw(port, b"POST /infer HTTP/1.1\r\nContent-Length: 50\r\n\r\nx") == b""
    assert ask(port, "GET", "/health")[0] == 200


def slow_model(path):
    """Some tenths of a second of work on one core: large products, one after the other."""
    width, layers = 1500, 25
    constant = onnx.helper.make_node(
        "ConstantOfShape", ["shape"], ["w"],
        value=onnx.numpy_helper.from_array(np.array([1e-4], np.float32)),
    )  # fmt: skip
    names = ["start", *(f"h{index}" for index in range(layers))]
    graph = onnx.helper.make_graph(
        [
            constant,
            onnx.helper.make_node("Mul", ["w", "x"], ["start"]),
            *(
                onnx.helper.make_node("MatMul", [first, "w"], [second])
                for first, second in itertools.pairwise(names)
            ),
            onnx.helper.make_node("ReduceMax", [names[-1]], ["top"], keepdims=1),
            onnx.helper.make_node("Mul", ["top", "x"], ["y"]),
        ],
        "slow",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1])],
        [onnx.numpy_helper.from_array(np.array([width, width]), "shape")],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_writes_the_counters(make_bundle, serving, tmp_path, number):
    counters = tmp_path / "counters.json"
    with serving(make_bundle(), "--counters", counters) as (process, port):
        assert json.loads(counters.read_text())["requests"] == 0
        for _index in range(3):
            ask(port, "POST", "/infer", GOOD)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert json.loads(counters.read_text())["requests"] == 3


def test_a_request_under_way_is_answered_before_the_end(make_bundle, serving):
    bundle = make_bundle()
    slow_model(bundle / "model.onnx")
    answers = []
    with serving(bundle) as (process, port):
        body = packed(x=np.ones((1, 1), np.float32))
        asking = threading.Thread(
            target=lambda: answers.append(ask(port, "POST", "/infer", body)[0])
        )
        asking.start()
        time.sleep(0.15)
        assert answers == []
        process.terminate()
        asking.join(30)
        assert answers == [200]
        assert process.wait(10) == 0


def test_the_address_in_use_is_told(make_bundle, runtime, told):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = runtime("serve", "--bundle", make_bundle(), "--port", port)
    assert outcome.returncode == 1 and "in use" in told(outcome)


def test_the_counters_file_is_never_torn(make_bundle, serving, tmp_path):
    """Read as fast as possible while requests come in: always whole, never going back."""
    counters = tmp_path / "counters.json"
    counts, times = [], set()
    with serving(make_bundle(), "--counters", counters) as (_process, port):
        stop = time.monotonic() + 3.2
        asking = threading.Thread(target=_ask_until, args=(port, stop))
        asking.start()
        while time.monotonic() < stop:
            body = json.loads(counters.read_bytes())
            counts.append(body["requests"])
            times.add(body["t"])
        asking.join()
    assert counts == sorted(counts) and counts[-1] > 0
    assert 2 <= len(times) <= 5
    assert [path.name for path in tmp_path.glob(".counters*")] == []


def _ask_until(port, stop):
    while time.monotonic() < stop:
        ask(port, "POST", "/infer", GOOD)
