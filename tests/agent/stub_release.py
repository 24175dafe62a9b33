# ruff: noqa: PTH102, PTH110, PTH118, PTH120, PTH123, N815, T201, UP031
"""Plays `unshare … chroot … python3 -m yardarm_runtime` where tests may not mount: what the
image's file `behaviour` says, it does."""

import hashlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "src"))
from yardarm_wire import engines

ROOT = sys.argv[sys.argv.index("yardarm") + 1]
BUNDLE = sys.argv[sys.argv.index("ro") + 1]
with open(os.path.join(ROOT, "behaviour")) as stream:
    BEHAVIOUR = stream.read().split()
with open(os.path.join(BUNDLE, "model.onnx"), "rb") as stream:
    MODEL = "sha256:" + hashlib.sha256(stream.read()).hexdigest()


def shown(target):
    """(mode, folder on the device) of what is mounted at `target`."""
    mounts = sys.argv[sys.argv.index("ro") : sys.argv.index("--")]
    for mode, source, where in zip(mounts[::3], mounts[1::3], mounts[2::3], strict=True):
        if where == target:
            return mode, source
    return None, None


def option(name):
    """The value of an option, as a path outside of the root."""
    inside = sys.argv[sys.argv.index(name) + 1]
    top = inside.split("/")[1]
    return os.path.join(shown(top)[1], *inside.split("/")[2:])


def engine_key():
    """As the runtime would name it: what TensorRT and GPU are, the behaviour says."""
    with open(option("--device")) as stream:
        device = json.load(stream)
    with open(os.path.join(BUNDLE, "manifest.json"), "rb") as stream:
        options = engines.canonical(json.load(stream)["tensorrt"])
    version = [word[3:] for word in BEHAVIOUR if word.startswith("trt")] or ["10.3.0"]
    return engines.Key(
        MODEL, version[0], 87, device["module"], device["power_mode"], engines.of_bytes(options)
    )


def build():
    key, plan = engine_key(), os.urandom(16) + b"." * 5_000_000  # no two builds are alike
    folder = engines.folder(option("--engines"), key)
    cached = os.path.exists(os.path.join(folder, "engine.json"))
    if not cached:
        os.mkdir(folder)
        with open(os.path.join(folder, "engine.plan"), "wb") as stream:
            stream.write(plan)
        for done in range(3000 if "slow" in BEHAVIOUR else 2):
            line = {"phase": "build", "done": done, "total": 3000, "pid": os.getpid()}
            print(json.dumps(line), flush=True)
            time.sleep(0.01 if done < 10 else 0.2)
        if "killed" in BEHAVIOUR:
            os.kill(os.getpid(), 9)
        if "broken" in BEHAVIOUR:
            raise SystemExit("the builder found no tactic")
        record = engines.Record(key, engines.of_bytes(plan), len(plan))
        with open(os.path.join(folder, "engine.json"), "wb") as stream:
            stream.write(engines.canonical(record.to_json()))
    with open(os.path.join(folder, "engine.json"), "rb") as stream:
        print(json.dumps({"engine": json.load(stream), "cached": cached, "built_s": 0.1}))


def require_engine():
    """Loads the one that it wants, or fails: the folder is not for writing."""
    mode, folder = shown("engines")
    if folder and "key" not in sys.argv and "build" not in sys.argv:
        assert mode == "ro", mode
        plan = os.path.join(engines.folder(folder, engine_key()), "engine.plan")
        with open(plan, "rb") as stream:
            sys.stderr.write("engine %s\n" % engines.of_bytes(stream.read()))


require_engine()
if "key" in sys.argv:
    if "untold" in BEHAVIOUR:
        raise SystemExit("TensorRT is not installed")
    print(json.dumps({"key": engine_key().to_json(), "present": False}))
elif "build" in sys.argv:
    assert shown("engines")[0] == "rw"
    build()
elif "selftest" in sys.argv:
    told = {"ok": "wrong" not in BEHAVIOUR, "device": option("--device"), "argv": sys.argv[-6:]}
    os.mkdir(os.path.join(option("--engines"), "thrown-away"))
    print(json.dumps(told))
    raise SystemExit(8 if "wrong" in BEHAVIOUR else 0)
elif "golden" in sys.argv:
    print(json.dumps({"ok": "wrong" not in BEHAVIOUR, "outputs": {}}))
elif "probe" in sys.argv:
    work = sys.argv[sys.argv.index("rw") + 1]
    print(json.dumps({"done": 1, "total": 1, "phase": "latency"}))
    os.mkdir(os.path.join(work, "output"))
    with open(os.path.join(work, "output", "seen"), "w") as stream:
        for name in ("model.onnx", "inputs.npz", "manifest.json", "plan.json"):
            with open(os.path.join(work, name)) as held:
                stream.write(held.read() + "\n")
    if "wrong" in BEHAVIOUR:
        raise SystemExit("the model can't be loaded")
elif "bench" in sys.argv:
    for done in range(10_000):
        print(json.dumps({"done": done, "total": 10_000, "phase": "latency", "pid": os.getpid()}))
        sys.stdout.flush()
        time.sleep(0.05 if done < 20 else 60)  # then only a kill ends it soon
else:
    sys.stderr.write("serving %s\n" % BEHAVIOUR)
    if "crash" in BEHAVIOUR:
        raise SystemExit("crashed on purpose")
    import http.server  # which takes longer than all that doesn't serve

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = json.dumps({"ok": "healthy" in BEHAVIOUR, "model": MODEL}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *arguments):
            pass

    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
