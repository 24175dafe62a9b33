"""`yardarm compile --explain`: one page for people, all of it as JSON, nothing in the bundle."""

from __future__ import annotations

from typing import Any

PI = ("--profile", "raspberry-pi-5")


def test_json_has_every_node_and_the_bundle_is_the_same(small: Any, cli: Any) -> None:
    folder = small()
    plain = cli("compile", *PI, "--json", cwd=folder).json
    told = cli("compile", *PI, "--explain", "--json", "--output", "out", cwd=folder).json
    assert told["cached"]
    assert told["digest"] == plain["digest"]
    difference, operators = (told["explanation"][key] for key in ("difference", "operators"))
    assert difference["samples"] == 96
    assert {"Conv", "Gemm"} <= {node["op"] for node in difference["nodes"]}
    told_db = [node["snr_db"] for node in difference["nodes"] if node["snr_db"] is not None]
    assert told_db == sorted(told_db)
    assert told_db[0] > 10
    assert operators["fp32_us"] > 0
    assert operators["where"].endswith("machine, not the device's")
    assert operators["verdict"].startswith("int8 ")
    nodes = [name for cost in operators["nodes"] for name in cost["nodes"]]
    assert len(nodes) == len(set(nodes))
    assert max(cost["ops"].count("Conv") for cost in operators["nodes"]) == 1
    assert {node["node"] for node in difference["nodes"]} <= set(nodes)
    files = [(folder / "out" / name).read_text() for name in ("manifest.json", "statistics.json")]
    assert all('_us"' not in text and "snr" not in text for text in files)


def test_the_page_fits_a_terminal(small: Any, cli: Any) -> None:
    folder = small()
    ran = cli("compile", *PI, "--explain", cwd=folder)
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 60
    assert "layer by layer over 96 samples, worst first" in ran.stdout
    assert "not the device's" in " ".join(ran.stdout.split())
    assert "Softmax" in ran.stdout
