"""Use an exported file with onnxruntime, numpy and Pillow alone. Nothing of centermask is needed: copy what you like.

centermask export runs/first/best.safetensors --out model.onnx
python examples/onnx_without_us.py model.onnx photo.jpg
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageColor, ImageOps


def read(path):
    """A picture as RGB, upright, what is transparent laid over white."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"):  # 16 bits would be read wrong
        sys.exit(f"{path}: pictures of the kind {image.mode} are not read here; convert it to RGB of 8 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def find(session, image):
    """Name, score, box (left, top, right, bottom in pixels of the image) and 28×28 mask of each object, best first."""
    about = json.loads(session.get_modelmeta().custom_metadata_map["centermask"])
    config = about["config"]
    scale = min(config["test_short_side"] / min(image.size), config["test_long_side"] / max(image.size))
    if about["plane"]:  # (height, width), of a file that was not exported for any size
        scale = min(scale, about["plane"][0] / image.height, about["plane"][1] / image.width)
    width, height = (max(1, round(side * scale)) for side in image.size)
    scaled = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    pixels = np.zeros((1, 3, *(about["plane"] or (height, width))), dtype=about["input"])  # uint8 or float32, 0 to 255
    pixels[0, :, :height, :width] = scaled.transpose(2, 0, 1)
    threshold = np.array(config["score_threshold"], dtype=np.float32)
    inputs = {"pixels": pixels, "sizes": np.array([[height, width]]), "score_threshold": threshold}
    labels, scores, boxes, masks, counts = session.run(["labels", "scores", "boxes", "masks", "counts"], inputs)
    boxes = boxes[0] * np.array([image.width / width, image.height / height] * 2)
    names = [config["class_names"][label] for label in labels[0]]
    return list(zip(names, scores[0], boxes, masks[0], strict=True))[: counts[0]]  # what follows is empty


def main(model, picture):
    """Print what is found, and write ``STEM_overlay.png`` into the current folder."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    image = read(picture)
    overlay = image.copy()
    for number, (name, score, box, mask) in enumerate(find(session, image)):
        seen = np.clip(box, 0, [image.width, image.height] * 2)  # the mask belongs to the whole box
        print(f"{name} {score:.2f} [{', '.join(f'{side:.0f}' for side in seen)}]")
        left, top, right, bottom = np.rint(box).astype(int).tolist()
        size = (max(1, right - left), max(1, bottom - top))
        inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR)) >= 0.5
        colour = ImageColor.getrgb(f"hsl({67 * number % 360}, 90%, 50%)")
        overlay.paste(colour, (left, top), Image.fromarray((inside * 140).astype(np.uint8)))
    overlay.save(f"{Path(picture).stem}_overlay.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("give two files: python onnx_without_us.py model.onnx photo.jpg")
    main(*sys.argv[1:])
