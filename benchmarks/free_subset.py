"""Copy the freely licensed pictures of people into a folder of their own, for the bundled weights.

    python benchmarks/free_subset.py DATA/coco OUT

DATA/coco holds ``annotations/free_image_ids.json`` (pictures under licences that let derived work be distributed
freely) beside ``annotations/person_{train,val}.json`` and ``annotations/instances80_{train,val}.json``. OUT gets
``person_{train,val}``, which annotates people alone, and ``catperson_train``: those training pictures that the 80-class
file covers too, so that it is known of them where cats are, and that there mostly are none.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any


def copy_free(source: Path, out: Path) -> None:
    """Copy pictures and annotations of both splits."""
    free = read(source, "free_image_ids")
    for split in ("train", "val"):
        person = read(source, f"person_{split}")
        kept = {image["id"] for image in person["images"]} & set(free[split])
        (out / split).mkdir(parents=True, exist_ok=True)
        for image in person["images"]:
            if image["id"] in kept:
                shutil.copyfile(source / split / image["file_name"], out / split / image["file_name"])
        if split == "train":
            full = read(source, "instances80_train")
            both = kept & {image["id"] for image in full["images"]}
            write(out, "catperson_train", full, both, {"person", "cat"})
            kept -= both
        write(out, f"person_{split}", person, kept, {"person"})


def read(source: Path, name: str) -> Any:
    return json.loads((source / "annotations" / f"{name}.json").read_text())


def write(out: Path, name: str, content: dict[str, Any], pictures: set[int], classes: set[str]) -> None:
    categories = [one for one in content["categories"] if one["name"] in classes]
    ids = {one["id"] for one in categories}
    chosen = {
        **content,
        "categories": categories,
        "images": [image for image in content["images"] if image["id"] in pictures],
        "annotations": [
            one for one in content["annotations"] if one["image_id"] in pictures and one["category_id"] in ids
        ],
    }
    (out / "annotations").mkdir(exist_ok=True)
    (out / "annotations" / f"{name}.json").write_text(json.dumps(chosen))
    print(f"{name}: {len(chosen['images'])} pictures, {len(chosen['annotations'])} annotations")


if __name__ == "__main__":
    copy_free(Path(sys.argv[1]), Path(sys.argv[2]))
