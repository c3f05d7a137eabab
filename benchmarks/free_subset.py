"""Copy the freely licensed pictures of an annotated set into a folder of their own.

    python benchmarks/free_subset.py DATA/coco person OUT

DATA/coco holds ``annotations/free_image_ids.json`` (the picture ids under licences that let derived work be distributed
freely) beside ``annotations/person_{train,val}.json``. Used for the bundled weights.
"""

import json
import shutil
import sys
from pathlib import Path


def copy_free(source: Path, name: str, out: Path) -> None:
    """Copy pictures and annotations of both splits."""
    free = json.loads((source / "annotations" / "free_image_ids.json").read_text())
    for split in ("train", "val"):
        content = json.loads((source / "annotations" / f"{name}_{split}.json").read_text())
        kept = set(free[split])
        content["images"] = [image for image in content["images"] if image["id"] in kept]
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
        (out / split).mkdir(parents=True, exist_ok=True)
        (out / "annotations").mkdir(exist_ok=True)
        for image in content["images"]:
            shutil.copyfile(source / split / image["file_name"], out / split / image["file_name"])
        (out / "annotations" / f"{name}_{split}.json").write_text(json.dumps(content))
        print(f"{split}: {len(content['images'])} pictures, {len(content['annotations'])} annotations")


if __name__ == "__main__":
    copy_free(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
