# ruff: noqa: PTH102, PTH118, PTH123, N815, T201, UP031
"""Plays `unshare … chroot … python3 -m yardarm_runtime` where tests may not mount: what the
image's file `behaviour` says, it does."""

import hashlib
import http.server
import json
import os
import sys
import time

ROOT = sys.argv[sys.argv.index("yardarm") + 1]
BUNDLE = sys.argv[sys.argv.index("ro") + 1]
with open(os.path.join(ROOT, "behaviour")) as stream:
    BEHAVIOUR = stream.read().split()
with open(os.path.join(BUNDLE, "model.onnx"), "rb") as stream:
    MODEL = "sha256:" + hashlib.sha256(stream.read()).hexdigest()


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


if "golden" in sys.argv:
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
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
