"""Reads what `label` writes with other programs' own readers, and writes what it reads with their writers.

    readers.py cvat CHOSEN CVAT WRITTEN            datumaro: CVAT's archive, unpacked; corrected masks into WRITTEN
    readers.py label-studio CHOSEN EXPORT          the converter: the tasks; EXPORT gets the converter's own codes

Masks are compared pixel by pixel with CHOSEN/network.
"""

import json
import sys
from pathlib import Path

import numpy
from PIL import Image


def network(chosen, name):
    return numpy.asarray(Image.open(chosen / "network" / f"{name}.png"))


def corrected(mask):
    """As `corrected` of the Rust test: the left quarter is class 5, the upper left pixel has no label."""
    mask = mask.copy()
    mask[:, :16] = 5
    mask[0, 0] = 255
    return mask


def cvat(chosen, folder, written):
    import datumaro

    classes = [each["name"] for each in json.loads((chosen / "choice.json").read_text())["classes"]]
    dataset = datumaro.Dataset.import_from(str(folder), "voc_segmentation")
    labels = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    index = {place: classes.index(name) for place, name in enumerate(labels) if name in classes}
    seen = 0
    for item in dataset:
        found = numpy.full(item.media.size, 255, numpy.uint8)
        for annotation in item.annotations:
            found[annotation.image.astype(bool)] = index.get(annotation.label, 255)
        expected = network(chosen, item.id)
        assert numpy.array_equal(found, expected), f"{item.id}: {(found != expected).sum()} pixels differ"
        photograph = numpy.asarray(Image.open(next((chosen / "images").glob(f"{item.id}.*"))).convert("RGB"))
        assert numpy.array_equal(item.media.data[:, :, ::-1], photograph), f"{item.id}: another photograph"
        place = {value: key for key, value in index.items()}
        mask = corrected(expected)
        item.annotations = [
            datumaro.Mask(mask == value, label=place[value], id=number, group=number)
            for number, value in enumerate(sorted(set(mask.flatten()) - {255}), 1)
        ]
        dataset.put(item)
        seen += 1
    assert seen == len(list((chosen / "images").iterdir())), seen
    # As CVAT exports: its label map, with the background.
    dataset.export(str(written), "voc_segmentation", save_media=True, label_map="source", apply_colormap=True)


def label_studio(chosen, export):
    from label_studio_sdk.converter import brush

    classes = [each["name"] for each in json.loads((chosen / "choice.json").read_text())["classes"]]
    for task in json.loads((chosen / "label-studio-tasks.json").read_text()):
        name = Path(task["data"]["file"]).stem
        expected = network(chosen, name)
        found = numpy.full(expected.shape, 255, numpy.uint8)
        for region in task["predictions"][0]["result"]:
            value = region["value"]
            shape = (region["original_height"], region["original_width"], 4)
            alpha = brush.decode_rle(value["rle"]).reshape(shape)[:, :, 3]
            assert set(numpy.unique(alpha)) <= {0, 255}
            assert (found[alpha > 0] == 255).all(), f"{name}: regions overlap"
            found[alpha > 0] = classes.index(value["brushlabels"][0])
        assert numpy.array_equal(found, expected), f"{name}: {(found != expected).sum()} pixels differ"
    tasks = json.loads(export.read_text())
    for task in tasks:
        mask = corrected(network(chosen, Path(task["data"]["file"]).stem))
        for region in task["annotations"][0]["result"]:
            value = classes.index(region["value"]["brushlabels"][0])
            region["value"]["rle"] = brush.mask2rle(numpy.where(mask == value, 255, 0).astype(numpy.uint8))
    export.write_text(json.dumps(tasks))


if __name__ == "__main__":
    kind, *paths = sys.argv[1:]
    {"cvat": cvat, "label-studio": label_studio}[kind](*map(Path, paths))
