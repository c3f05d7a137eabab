// How a picture lies on the stage: `scale` CSS pixels to a pixel of the picture, its corner at `left`, `top`.
// A room is the stage's size, { width, height }, in CSS pixels.

const DEEPEST = 40;
const LARGEST_FIT = 4;  // a small picture is not blown up further

/** The view that shows the whole picture, with a margin where there is room for one. */
export function fitted(picture, room) {
  const margin = room.width < 600 ? 0 : 20;
  const across = (room.width - 2 * margin) / picture.width, down = (room.height - 2 * margin) / picture.height;
  const scale = Math.max(1e-4, Math.min(across, down, LARGEST_FIT));
  return { scale, ...held({ scale, left: 0, top: 0 }, picture, room) };
}

/** The view zoomed by a factor around a point of the stage; never smaller than what fits. */
export function zoomed(view, factor, { x, y }, picture, room) {
  const least = fitted(picture, room);
  const scale = Math.min(view.scale * factor, Math.max(DEEPEST, least.scale));
  if (scale <= least.scale) return least;
  const kept = scale / view.scale;
  return { scale, ...held({ scale, left: x - (x - view.left) * kept, top: y - (y - view.top) * kept }, picture, room) };
}

/** The view moved by so many CSS pixels. */
export function moved(view, { x, y }, picture, room) {
  return { ...view, ...held({ ...view, left: view.left + x, top: view.top + y }, picture, room) };
}

/** Keeps a large picture over the whole stage and a small one in its middle. */
function held({ scale, left, top }, picture, room) {
  const within = (place, size, space) => Math.min(0, Math.max(space - size, place));
  const hold = (place, size, space) => (size <= space ? (space - size) / 2 : within(place, size, space));
  return {
    left: Math.round(hold(left, picture.width * scale, room.width)),
    top: Math.round(hold(top, picture.height * scale, room.height)),
  };
}

/** A rectangle of the picture on the stage. */
export function onStage({ scale, left: x, top: y }, { left, top, right, bottom }) {
  return { left: x + left * scale, top: y + top * scale, right: x + right * scale, bottom: y + bottom * scale };
}

/** The pixel of the picture under a point of the stage. */
export function pixelAt({ scale, left, top }, { x, y }) {
  return { x: Math.floor((x - left) / scale), y: Math.floor((y - top) / scale) };
}
