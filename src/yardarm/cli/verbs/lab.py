"""`yardarm lab`: virtual ARM devices on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yardarm.cli import console, options
from yardarm.errors import UsageError

if TYPE_CHECKING:
    from yardarm.lab import LabDevice

Name = Annotated[str, typer.Argument(help="what the device is called; other verbs say lab:NAME")]
Profile = Annotated[str, typer.Option("--profile", help="the device that it stands in for")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("up")(up)
    group.command("list")(list_devices)
    group.command("down")(down)
    group.command("ssh")(ssh)
    app.add_typer(group, name="lab", help="Virtual ARM devices on this machine.")


def up(name: Name, profile: Profile = "raspberry-pi-5", as_json: options.Json = False) -> None:
    """Start a virtual ARM device, emulated by qemu-user. Needs root.

    A Jetson's is its CPU part only. A dead device is started again with its files.

    Example: yardarm lab up pi5 --profile raspberry-pi-5
    """
    from yardarm import lab, profiles

    with console.progress() as sink:
        device = lab.up(name, profiles.load(profile, Path.cwd()), sink)
    text = f"lab:{device.name} is up: {device.profile} at {device.ip}"
    console.show(_as_json(device), as_json=as_json, text=text)


def list_devices(as_json: options.Json = False) -> None:
    """List the virtual devices: up, starting or dead.

    Example: yardarm lab list
    """
    from yardarm import lab

    found = lab.devices()
    rows = [[f"lab:{d.name}", d.profile, d.status, d.ip] for d in found]
    console.show(
        [_as_json(device) for device in found],
        as_json=as_json,
        text=console.table(["device", "profile", "status", "address"], rows)
        if rows
        else "no lab devices; `yardarm lab up NAME` starts one",
    )


def down(
    name: Annotated[str | None, typer.Argument(help="the device; or --all")] = None,
    every: Annotated[bool, typer.Option("--all", help="remove every device")] = False,
    as_json: options.Json = False,
) -> None:
    """Stop a virtual device and remove everything of it.

    Example: yardarm lab down pi5
    """
    from yardarm import lab

    if (name is None) != every:
        raise UsageError("name one device, or say --all", hint="yardarm lab down pi5")
    gone = [name] if name else [device.name for device in lab.devices()]
    for each in gone:
        lab.down(each)
    text = "\n".join(f"lab:{each} is gone" for each in gone)
    console.show({"removed": gone}, as_json=as_json, text=text or "no lab devices")


def ssh(
    name: Name,
    command: Annotated[list[str] | None, typer.Argument(help="what to run, after --")] = None,
) -> None:
    """Open a shell on a virtual device, or run a command there.

    Example: yardarm lab ssh pi5 -- uname -m
    """
    from yardarm import lab

    at = lab.address(name)
    argv = ["ssh", "-F", "none", "-i", str(at.identity), "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", f"UserKnownHostsFile={at.known_hosts}", f"{at.user}@{at.hostname}"]
    os.execvp("ssh", [*argv, *(["--", *command] if command else [])])


def _as_json(device: LabDevice) -> dict[str, Any]:
    at = device.address
    return {
        "name": device.name,
        "profile": device.profile,
        "status": device.status,
        "hostname": at.hostname,
        "port": at.port,
        "user": at.user,
        "identity": str(at.identity),
        "known_hosts": str(at.known_hosts),
        "namespace": device.namespace,
        "emulated": True,
    }
