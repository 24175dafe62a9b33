"""python3 -m yardarm_runtime VERB: golden, serve, batch, bench, probe, key, build, selftest.

Results are JSON lines on stdout. Exit codes: 0 done, 1 unexpected, 2 usage, 3 bundle,
plan or data can't be used, 8 golden outputs or those of the selftest differ; with 1 and 3 stderr
has one line {"error": TEXT}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from typing import Any, List, Optional

from yardarm_runtime.problems import INVALID, MISMATCH, UNEXPECTED, Problem


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="yardarm_runtime", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    golden = verbs.add_parser("golden", help="answer the golden inputs and compare")
    serve = verbs.add_parser("serve", help="serve the model over HTTP")
    batch = verbs.add_parser("batch", help="answer every sample in a file")
    bench = verbs.add_parser("bench", help="run a measuring plan")
    probe = verbs.add_parser("probe", help="time any model and its operators")
    key = verbs.add_parser("key", help="what an engine for this bundle is bound to here")
    build = verbs.add_parser("build", help="build the engine of this bundle")
    selftest = verbs.add_parser("selftest", help="try everything with a small model")
    for verb in (golden, serve, batch, bench, probe, key, build):
        verb.add_argument("--bundle", required=True, help="folder of the unpacked bundle")
    for verb in (golden, serve, batch, bench, probe, key, build, selftest):
        verb.add_argument("--engines", help="folder of the engines that were built here")
        verb.add_argument("--device", help="file in which the agent describes the device")
    build.add_argument("--force", action="store_true", help="build it even if it is there")
    selftest.add_argument("--json", action="store_true", help="one JSON value instead of text")
    for verb in (golden, serve, batch):
        verb.add_argument("--threads", type=_positive, default=1, help="intra-op threads")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, required=True, help="0: any free port")
    batch.add_argument("--data", required=True, help="npz with the model's inputs")
    batch.add_argument("--output", required=True, help="npz that the answers are written to")
    for verb in (bench, probe):
        verb.add_argument("--plan", required=True)
        verb.add_argument("--data", required=True, help="npz with the model's inputs")
        verb.add_argument("--output", required=True, help="folder for the results")
    for verb in (serve, bench):
        verb.add_argument("--counters", help="file that is kept up to date with counters")
    return parser


def _golden(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import golden
    from yardarm_runtime.engines import open_engine

    with closing(
        open_engine(arguments.bundle, arguments.threads, _place(arguments), _tell)
    ) as engine:
        outcome = golden.check(engine, arguments.bundle)
    _say(outcome)
    return 0 if outcome["ok"] else MISMATCH


def _serve(arguments: argparse.Namespace) -> int:
    from yardarm_runtime.serve import serve

    serve(
        arguments.bundle,
        arguments.host,
        arguments.port,
        arguments.threads,
        arguments.counters,
        place=_place(arguments),
        progress=_tell,
    )
    return 0


def _batch(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import batch

    place = _place(arguments)
    files = (arguments.bundle, arguments.data, arguments.output)
    batch.run(*files, threads=arguments.threads, place=place, progress=_tell)
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    begun = time.perf_counter()
    from yardarm_runtime import bench
    from yardarm_runtime.engines import libraries

    libraries(arguments.bundle)
    request = bench.Request(
        arguments.bundle,
        arguments.plan,
        arguments.data,
        arguments.output,
        arguments.counters,
        import_ms=round((time.perf_counter() - begun) * 1e3, 3),
        place=_place(arguments),
    )
    bench.run(request, _tell)
    return 0


def _probe(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import probe

    place = _place(arguments)
    probe.run(
        arguments.bundle, arguments.plan, arguments.data, arguments.output, _tell, place=place
    )
    return 0


def _key(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import building

    _say(building.key(arguments.bundle, _place(arguments)))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import building

    _say(building.build(arguments.bundle, _place(arguments), _tell, arguments.force))
    return 0


def _selftest(arguments: argparse.Namespace) -> int:
    from yardarm_runtime import selftest

    tell = _quiet if arguments.json else print
    report = selftest.run(_place(arguments), tell)
    if arguments.json:
        _say(report)
    return 0 if report["ok"] else MISMATCH


def _quiet(_line: str) -> None:
    pass


def _place(arguments: argparse.Namespace) -> Any:
    from yardarm_runtime.engines import Place

    return Place(arguments.engines, arguments.device)


def _tell(phase: str, done: int, total: int) -> None:
    _say({"done": done, "total": total, "phase": phase})


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


VERBS = {
    "golden": _golden,
    "serve": _serve,
    "batch": _batch,
    "bench": _bench,
    "probe": _probe,
    "key": _key,
    "build": _build,
    "selftest": _selftest,
}


def main(words: Optional[List[str]] = None) -> int:
    arguments = _parser().parse_args(words)
    try:
        return VERBS[arguments.verb](arguments)
    except Problem as error:
        return _failed(INVALID, str(error))
    except (OSError, MemoryError, ImportError, OverflowError) as error:
        return _failed(UNEXPECTED, "%s: %s" % (type(error).__name__, error))


def _failed(code: int, text: str) -> int:
    print(json.dumps({"error": text}), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
