// Draws objects over a picture: on the screen at any zoom, and at full size for a file.

import { css, inkOn } from "./colours.js";
import { makePath, traceLoops } from "./outline.js";

const EXACT_FROM = 7;  // so many device pixels to a pixel, and its borders are what one wants to see
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const CROWD = 12;  // among more objects, only captions that find a free place are written
const loopsOf = new WeakMap(), pathsOf = new WeakMap();

/** The picture on white, which is what the server lays transparent ones over. */
export function paintPicture(context, bitmap, { left, top, width, height }) {
  context.fillStyle = "white";
  context.fillRect(left, top, width, height);
  context.drawImage(bitmap, left, top, width, height);
}

/**
 * Fills and outlines objects, small ones over large ones, the pointed one over all.
 * The context is scaled already: `scale` device pixels to a pixel of the picture. `line` is in device pixels.
 */
export function paintMasks(context, found, { scale, line, opacity, pointed = null }) {
  const order = found.toSorted((a, b) => (a === pointed) - (b === pointed) || b.mask.area - a.mask.area);
  for (const each of order) {
    const path = pathAt(each.mask, scale);
    const aside = pointed !== null && each !== pointed;
    context.fillStyle = css(each.colour, opacity * (aside ? 0.6 : 1) + (each === pointed ? 0.15 : 0));
    context.fill(path, "evenodd");
    context.lineJoin = "round";
    stroke(context, path, css([0, 0, 0], aside ? 0.25 : 0.5), (line * 1.7 + (each === pointed ? line : 0)) / scale);
    stroke(context, path, css(each.colour, aside ? 0.8 : 1), (line + (each === pointed ? line : 0)) / scale);
  }
}

function stroke(context, path, style, width) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.stroke(path);
}

/** The path that suits a zoom; kept, one for each doubling of the scale. */
function pathAt(mask, scale) {
  const exact = scale >= EXACT_FROM, step = Math.min(0, Math.floor(Math.log2(scale)));
  if (!loopsOf.has(mask)) loopsOf.set(mask, traceLoops(mask));
  if (!pathsOf.has(mask)) pathsOf.set(mask, new Map());
  const paths = pathsOf.get(mask), key = exact ? "exact" : step;
  const tolerance = step < 0 ? 0.4 / 2 ** step : 0;
  if (!paths.has(key)) paths.set(key, makePath(loopsOf.get(mask), { exact, tolerance }));
  return paths.get(key);
}

/**
 * Writes class and score at each object, at places that keep apart.
 * The context is in device pixels; `place` brings a mask's bounds to them; `area` is where captions may stand.
 */
export function paintCaptions(context, found, { text, place, area }) {
  context.font = `600 ${text}px ${FONT}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const taken = [];
  for (const each of found) {
    const anchor = each.mask.bounds && place(each.mask.bounds);
    if (!anchor || !meets(anchor, area)) continue;
    const length = context.measureText(each.caption).width;
    const plate = { width: Math.round(length + text * 0.9), height: Math.round(text * 1.6) };
    const crowd = found.length > CROWD;
    if (crowd && anchor.right - anchor.left < 0.6 * plate.width) continue;  // it would hide its object
    const { spot, cost } = freePlace(plate, anchor, taken, area);
    if (crowd && cost) continue;
    taken.push(spot);
    paintPlate(context, spot, each);
  }
}

function paintPlate(context, { left, top, right, bottom }, { caption, colour }) {
  context.beginPath();
  context.roundRect(left, top, right - left, bottom - top, (bottom - top) * 0.28);
  context.fillStyle = css(colour);
  context.fill();
  context.fillStyle = inkOn(colour);
  context.fillText(caption, (left + right) / 2, (top + bottom) / 2 + (bottom - top) * 0.04);
}

/** Over the object, else in it, under it or beside it: the first place that is free, or the freest. */
function freePlace(plate, anchor, taken, area) {
  let best = null, least = Infinity;
  for (const [x, y] of candidates(plate, anchor)) {
    const spot = moveInside(x, y, plate, area);
    const cost = taken.reduce((sum, other) => sum + commonArea(spot, other), 0);
    if (cost < least) [best, least] = [spot, cost];
    if (!cost) break;
  }
  return { spot: best, cost: least };
}

function candidates({ width, height }, { left, top, right, bottom }) {
  const centre = (left + right - width) / 2, middle = (top + bottom - height) / 2;
  return [
    [left, top - height], [centre, top - height], [right - width, top - height], [centre, middle],
    [left, bottom], [centre, bottom], [right - width, bottom], [right, middle], [left - width, middle],
    ...[1, -1, 2, -2, 3, -3].map((step) => [centre, middle + step * height]),
  ];
}

function moveInside(x, y, { width, height }, area) {
  const left = Math.round(Math.max(area.left, Math.min(x, area.right - width)));
  const top = Math.round(Math.max(area.top, Math.min(y, area.bottom - height)));
  return { left, top, right: left + width, bottom: top + height };
}

function commonArea(a, b) {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return Math.max(0, width) * Math.max(0, height);
}

function meets(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
