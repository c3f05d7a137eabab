// What can be taken away: the picture as it is shown, the objects as COCO JSON, the request as a command.

import { paintCaptions, paintMasks, paintPicture } from "./paint.js";
import { shownOf } from "./state.js";

/** The picture at its full size with the shown objects drawn over it, as a PNG. */
export async function toPng(state) {
  const { bitmap, width, height } = state.picture;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("the browser cannot draw a picture of this size");
  const side = Math.sqrt(width * height), shown = shownOf(state);
  paintPicture(context, bitmap, { left: 0, top: 0, width, height });
  paintMasks(context, shown, { scale: 1, line: clamp(side / 260, 1.2, 12), opacity: state.opacity });
  if (state.captions) {
    const crowd = clamp((12 / Math.max(shown.length, 1)) ** 0.25, 0.7, 1);
    const area = { left: 0, top: 0, right: width, bottom: height };
    paintCaptions(context, shown, { text: clamp((side / 36) * crowd, 9, 96), place: (bounds) => bounds, area });
  }
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  if (!blob) throw new Error("the browser cannot write a picture of this size");
  return blob;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** The shown objects as a whole COCO dictionary, as the server gives it for format=coco. */
export function toCoco(state) {
  const { width, height, name } = state.picture;
  const annotations = shownOf(state).map(({ record, mask }, i) => ({
    id: i + 1,
    image_id: 1,
    category_id: record.category_id,
    bbox: record.bbox,
    area: mask.area,
    iscrowd: 0,
    score: record.score,
    segmentation: record.segmentation,
  }));
  const { class_names: names, category_ids: ids } = state.model;
  return {
    images: [{ id: 1, file_name: name, height, width }],
    annotations,
    categories: names.map((each, i) => ({ id: ids[i], name: each })),
  };
}

/** The command that repeats the request with the threshold of the slider; a token is named, not told. */
export function toCurl(state, address) {
  const { name } = state.picture;
  const file = /^[\w.-]+$/.test(name) ? `@${name}` : `@"${name.replace(/[\\"]/g, "\\$&")}"`;
  return [
    `curl ${quote(`${address}?threshold=${state.threshold}`)}`,
    ...(state.token ? ['-H "Authorization: Bearer $CENTERMASK_TOKEN"'] : []),
    `-F ${quote(`file=${file}`)}`,
  ].join(" \\\n  ");
}

/** As one word for a POSIX shell. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Hands a file to the browser's downloads. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Copies text; where the browser keeps the clipboard for secure addresses, by way of a selection. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "away" });
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}
