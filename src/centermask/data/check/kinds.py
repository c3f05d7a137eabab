"""Every kind of finding: how bad it is, what it is called, and the mend."""

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""An error harms training or its figures; a warning may; a note is for information."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first."""


class Kind(NamedTuple):
    """What all findings of one kind share."""

    severity: Severity
    title: str
    mend: str


KINDS: dict[str, Kind] = {
    # Files of annotations
    "label-file": Kind("error", "label file that cannot be used", "correct the file, or export it anew"),
    "no-list": Kind("error", "annotation file without a list", "export the set anew as COCO object instances"),
    # Classes
    "category-entry": Kind("error", "class without a sound id or name", "give it a whole number and a printable name"),
    "category-id-twice": Kind("error", "class id used twice", "give each class an id of its own"),
    "category-name-twice": Kind("error", "two classes of one name", "merge them, or rename one"),
    "no-category": Kind("error", "no class", "name at least one class"),
    "category-differs": Kind(
        "error", "class id with another name in the other split", "use one class list for all splits"
    ),
    "category-one-split": Kind("warning", "class of one split only", "use one class list for all splits"),
    "class-untrained": Kind("warning", "class in val but never in train", "move some of its pictures to train"),
    "class-empty": Kind("warning", "class without an object", "annotate some, or remove the class"),
    "category-gap": Kind("note", "gap in the class ids", "nothing to do: ids may have gaps"),
    # Pictures, as listed
    "picture-entry": Kind("error", "picture entry that cannot be used", "give it an id, a file name, width and height"),
    "picture-id-twice": Kind("error", "picture id used twice", "give each picture an id of its own"),
    "picture-listed-twice": Kind("error", "picture listed twice", "join the two entries and their objects into one"),
    "picture-outside": Kind("error", "path that leaves the data folder", "copy the picture into the data folder"),
    "picture-missing": Kind("error", "picture that is missing", "copy it there, or remove its entry"),
    "no-picture": Kind("error", "split without a usable picture", "check the annotation file and the picture folder"),
    "picture-extra": Kind("warning", "picture that nobody annotated", "annotate it, or move it elsewhere"),
    # Pictures, as files
    "picture-broken": Kind("error", "picture that cannot be read", "copy or save it anew"),
    "picture-too-large": Kind("error", "picture with too many pixels", "scale it down, or cut it into tiles"),
    "file-too-large": Kind("error", "picture file that is too large", "save it anew as JPEG or PNG"),
    "exif-turned": Kind(
        "error", "picture that its EXIF data turns", "turn the pixels and drop the EXIF, or annotate it upright"
    ),
    "size-differs": Kind("error", "picture of another size than annotated", "give the picture that was annotated"),
    "exif-unclear": Kind("warning", "EXIF turn that the size cannot tell", "see whether its masks lie right"),
    "picture-copy": Kind("warning", "same picture under two names", "keep one, with all its objects"),
    "split-leak": Kind("error", "same picture in train and val", "remove it from one of them"),
    "near-duplicate": Kind("warning", "nearly the same picture in train and val", "keep look-alikes in one split"),
    # Objects: entries
    "annotation-entry": Kind("error", "object entry that cannot be used", "correct or remove it"),
    "annotation-id-twice": Kind("error", "object id used twice", "give each object an id of its own"),
    "unknown-picture": Kind("error", "object of an unknown picture", "correct its image_id, or remove it"),
    "unknown-category": Kind("error", "object of an unknown class", "correct its category_id, or add the class"),
    "no-object": Kind("error", "split without an object", "annotate its pictures"),
    "all-crowd": Kind("error", "split of nothing but crowds", "annotate objects one by one; crowds teach nothing"),
    # Objects: masks
    "no-segmentation": Kind("error", "object without a mask", "draw its outline; a box alone is not enough"),
    "polygon-form": Kind("error", "polygon that cannot be used", "write x, y, x, y, ... of at least three points"),
    "polygon-not-finite": Kind("error", "polygon with NaN or infinity", "draw it anew"),
    "polygon-no-area": Kind("error", "polygon without area", "draw it anew, or remove it"),
    "polygon-outside": Kind(
        "error", "polygon outside of its picture", "check that it belongs to this picture at this size"
    ),
    "polygon-vertices": Kind("error", "polygon with too many points", "simplify the outline"),
    "polygon-over-border": Kind("warning", "polygon that reaches over the border", "cut it at the border"),
    "polygon-crosses": Kind("warning", "polygon that crosses itself", "draw the outline without loops"),
    "polygon-part-empty": Kind("warning", "polygon part without area", "remove the part"),
    "code-size": Kind("error", "run-length code of another size", "export the mask at the size of its picture"),
    "code-runs": Kind("error", "run-length code that lies", "export the mask anew"),
    "code-empty": Kind("error", "run-length code of an empty mask", "remove it"),
    "object-tiny": Kind("warning", "mask that covers no pixel", "remove it, or annotate a larger picture"),
    "object-twice": Kind("warning", "same object annotated twice", "remove one of the two"),
    "object-two-classes": Kind("warning", "same object under two classes", "decide for one class"),
    # Objects: boxes and areas
    "box-xyxy": Kind("error", "box written as two corners", "write left, top, width, height"),
    "box-normalised": Kind("error", "box in shares of the picture", "write pixels: left, top, width, height"),
    "box-centre": Kind("error", "box written by its centre", "write left, top, width, height"),
    "box-misfit": Kind("warning", "box that does not fit its mask", "make it anew from the mask"),
    "box-form": Kind("warning", "box that is none", "write left, top, width, height, or leave it out"),
    "area-wrong": Kind("warning", "area that is not the mask's", "make it anew from the mask, or leave it out"),
    "box-missing": Kind("note", "object without a box", "nothing to do: it is made from the mask"),
    "area-missing": Kind("note", "object without an area", "nothing to do: it is made from the mask"),
}
"""By slug, in the order in which they are reported within a severity."""
