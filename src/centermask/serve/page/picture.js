// A picture's pixels as the server will see them: upright. Browsers turn JPEG and PNG as their notes ask; Chromium
// leaves WebP lying.

/** The upright pixels of a file; fails if the browser cannot read it. */
export async function readPicture(file) {
  const orientation = (await isWebp(file)) ? webpOrientation(new DataView(await file.arrayBuffer())) : 1;
  if (orientation === 1) return createImageBitmap(file);
  const lying = await createImageBitmap(file, { imageOrientation: "none" });
  const canvas = new OffscreenCanvas(...(orientation > 4 ? [lying.height, lying.width] : [lying.width, lying.height]));
  const context = canvas.getContext("2d");
  context.setTransform(...turns(lying.width, lying.height)[orientation]);
  context.drawImage(lying, 0, 0);
  lying.close();
  return canvas.transferToImageBitmap();
}

/** By its bytes, as the server tells; its type may be missing. */
async function isWebp(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(0, 12).arrayBuffer());
  return head.startsWith("RIFF") && head.endsWith("WEBP");
}

/** For each EXIF orientation, where (x, y) of the lying picture goes: (a·x + c·y + e, b·x + d·y + f). */
function turns(width, height) {
  return {
    2: [-1, 0, 0, 1, width, 0],
    3: [-1, 0, 0, -1, width, height],
    4: [1, 0, 0, -1, 0, height],
    5: [0, 1, 1, 0, 0, 0],
    6: [0, 1, -1, 0, height, 0],
    7: [0, -1, -1, 0, height, width],
    8: [0, -1, 1, 0, 0, width],
  };
}

/** The orientation in a WebP file's notes, 1 to 8; 1 if they say nothing, or nothing that makes sense. */
function webpOrientation(view) {
  const after = (at) => at + 8 + 2 * Math.ceil(view.getUint32(at + 4, true) / 2);  // chunks have an even length
  for (let at = 12; at + 8 <= view.byteLength; at = after(at)) {
    if (view.getUint32(at) !== 0x45584946) continue;  // "EXIF"
    const prefixed = at + 14 <= view.byteLength && view.getUint32(at + 8) === 0x45786966;  // "Exif\0\0" before it
    return tiffOrientation(view, at + (prefixed ? 14 : 8));
  }
  return 1;
}

function tiffOrientation(view, start) {
  try {
    const little = view.getUint16(start) === 0x4949;
    const list = start + view.getUint32(start + 4, little), count = view.getUint16(list, little);
    for (let entry = list + 2; entry < list + 2 + 12 * count; entry += 12) {
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const value = view.getUint16(entry + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;  // the notes end too soon
  }
  return 1;
}
