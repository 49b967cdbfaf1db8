"""Compares the classes that ONNX Runtime gives by model.onnx with those that intrada predicted, for the pictures in test/.

    python3 verify.py           requires onnxruntime and numpy
    python3 verify.py --json    the result as a line of JSON

Exit status: 0 if at least 99.99 % of all pixels are equal, 1 if not or if the folder was altered, 3 if nothing could be compared.
"""

import hashlib
import json
import pathlib
import struct
import sys
import zlib

try:
    import numpy
    import onnxruntime
except ImportError as error:
    print(f"{sys.executable or 'python3'} can't import what this needs: {error}", file=sys.stderr)
    sys.exit(3)  # Nothing can be compared.

HERE = pathlib.Path(__file__).resolve().parent
LEAST = 0.9999


def unchecked(why: str) -> None:
    """Stops, as nothing can be compared."""
    print(" ".join(why.split()), file=sys.stderr)
    sys.exit(3)


def check_digests() -> None:
    """Stops if the graph or a test picture isn't the one that SHA256SUMS lists. A folder that is being exported has no list."""
    sums = HERE / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    listed = dict(reversed(line.split("  ", 1)) for line in lines if "  " in line)
    compared = {name for name in listed if name == "model.onnx" or name.startswith("test/")}
    for name in sorted(compared | {"model.onnx", "config.json"}):
        if not (HERE / name).is_file():
            sys.exit(f"{name} is missing; export or copy the folder again")
    for name in sorted(compared):
        digest = hashlib.sha256()
        with open(HERE / name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if listed[name] != digest.hexdigest():
            sys.exit(f"{name} was altered or damaged: its SHA-256 is not the one in SHA256SUMS")


def read_png(path: pathlib.Path) -> numpy.ndarray:
    """H x W or H x W x 3 of uint8. Grey and RGB PNGs of 8 bits, not interlaced."""
    data = path.read_bytes()
    place, chunks, header = 8, [], None
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", data[place + 8 : place + 21])
        elif kind == b"IDAT":
            chunks.append(data[place + 8 : place + 8 + length])
        place += 12 + length
    width, height, depth, colour, _, _, interlaced = header
    if depth != 8 or colour not in (0, 2) or interlaced:
        sys.exit(f"{path}: only grey and RGB PNGs of 8 bits can be read here")
    channels = 3 if colour == 2 else 1
    rows = numpy.frombuffer(zlib.decompress(b"".join(chunks)), numpy.uint8).reshape(height, 1 + width * channels)
    picture = numpy.zeros((height, width * channels), numpy.uint8)
    above = numpy.zeros(width * channels, numpy.uint8)
    for row, (kind, line) in enumerate(zip(rows[:, 0], rows[:, 1:])):
        above = picture[row] = unfiltered(kind, line, above, channels)
    return picture.reshape((height, width, 3) if channels == 3 else (height, width))


def unfiltered(kind: int, line: numpy.ndarray, above: numpy.ndarray, channels: int) -> numpy.ndarray:
    """A row without PNG's filter."""
    if kind == 0:
        return line
    if kind == 1:
        return line.reshape(-1, channels).cumsum(0, dtype=numpy.uint8).reshape(-1)
    if kind == 2:
        return line + above
    out = [0] * channels
    corner = [0] * channels + above.tolist()
    for place, (value, up) in enumerate(zip(line.tolist(), above.tolist())):
        left = out[place]
        if kind == 3:
            guess = (left + up) // 2
        else:
            far = corner[place]
            near = [abs(left + up - far - each) for each in (left, up, far)]
            guess = (left, up, far)[near.index(min(near))]
        out.append((value + guess) & 255)
    return numpy.array(out[channels:], numpy.uint8)


def opened() -> onnxruntime.InferenceSession:
    """The graph, on the processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # Of one base class only in newer versions.
        unchecked(f"ONNX Runtime {onnxruntime.__version__} can't open model.onnx: {error}")


def check_classes(session: onnxruntime.InferenceSession) -> None:
    """Stops if the graph is of other classes than config.json."""
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    named = [config["id2label"][str(index)] for index in range(config["num_labels"])]
    own = json.loads(session.get_modelmeta().custom_metadata_map.get("classes", "null"))
    if own != named:
        sys.exit(f"model.onnx is a network of {len(own or [])} classes, {own}, and config.json lists {len(named)}, {named}")


def main() -> None:
    as_json = "--json" in sys.argv[1:]
    check_digests()
    session = opened()
    check_classes(session)
    pictures = sorted(path for path in (HERE / "test").glob("*.png") if not path.name.endswith(".classes.png"))
    if not pictures:
        sys.exit("there is no picture in test/")
    equal = pixels = 0
    for path in pictures:
        expected = read_png(path.with_suffix(".classes.png"))
        try:
            found = session.run(["classes"], {"image": read_png(path)[None]})[0][0]
        except Exception as error:
            unchecked(f"ONNX Runtime {onnxruntime.__version__} fails for {path.name}: {error}")
        if found.shape != expected.shape:
            sys.exit(f"{path.name}: classes of {found.shape} pixels, expected {expected.shape}")
        same = int((found == expected).sum())
        equal, pixels = equal + same, pixels + expected.size
        if not as_json:
            height, width = expected.shape
            seen = len(numpy.unique(expected))
            share = f"{100 * same / expected.size:.4f} % of the pixels are equal"
            print(f"{path.name}: {width} x {height}, {seen} classes: {share}, {expected.size - same} differ")
    good = equal >= LEAST * pixels
    if as_json:
        result = {"onnxruntime": onnxruntime.__version__, "pictures": len(pictures), "equal": equal, "pixels": pixels}
        print(json.dumps(result))
    else:
        share = f"{100 * equal / pixels:.4f} % of {pixels} pixels are equal"
        verdict = "good" if good else f"NOT good, under {100 * LEAST} %"
        print(f"all: {share}, with ONNX Runtime {onnxruntime.__version__}: {verdict}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
