// Draws objects over a picture: on the screen at any zoom, and at full size for a file.

import { css, inkOn } from "./colours.js";
import { makePath, traceLoops } from "./outline.js";

const EXACT_FROM = 7;  // so many device pixels to a pixel, and its borders are what one wants to see
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const CROWD = 12;  // among more objects, captions stand close to their own, and only as many as the picture bears
const INK = 0.06;  // which is so much of its area
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
 * Writes class and score at each object, at places that keep apart; the pointed one over all, the others dimmed.
 * The context is in device pixels; `place` brings a mask's bounds to them; `area` is where captions may stand.
 */
export function paintCaptions(context, found, { text, place, area, pointed = null }) {
  context.font = `600 ${text}px ${FONT}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const all = measured(context, found, { text, place, area }), first = all.find(({ each }) => each === pointed);
  const placed = arrange(all, { area, ink: INK * seenOf(found, place, area) });
  for (const [each, spot] of first ? withPointed(placed, first, area) : placed) {
    context.globalAlpha = pointed && each !== pointed ? 0.4 : 1;
    paintPlate(context, spot, each);
  }
  context.globalAlpha = 1;
}

/** How much of the picture lies in the area. */
function seenOf(found, place, area) {
  if (!found.length) return 0;
  const { width, height } = found[0].mask;
  return commonArea(place({ left: 0, top: 0, right: width, bottom: height }), area);
}

/** The objects in sight: the box of each and the size of its caption. */
function measured(context, found, { text, place, area }) {
  const height = Math.round(text * 1.6);
  const inSight = found.filter(({ mask }) => mask.bounds && meets(place(mask.bounds), area));
  return inSight.map((each) => {
    const width = Math.round(context.measureText(each.caption).width + text * 0.9);
    return { each, anchor: place(each.mask.bounds), plate: { width, height } };
  });
}

/** Where captions stand, best first: [[object, spot]]. One that would lie over a better one is left out. */
function arrange(all, { area, ink }) {
  const crowd = all.length > CROWD, placed = [], taken = [];
  for (const { each, anchor, plate } of all) {
    const size = plate.width * plate.height;
    if (crowd && size > ink) break;
    const { spot, cost } = freePlace(crowd ? near(plate, anchor) : anywhere(plate, anchor), plate, taken, area);
    if (cost) continue;
    ink -= size;
    placed.push([each, spot]);
    taken.push(crowd ? grown(spot, plate.height / 2) : spot);
  }
  return placed;
}

/** The pointed object has its caption, over all others, none of which moves for it. */
function withPointed(placed, { each, anchor, plate }, area) {
  const others = placed.filter(([other]) => other !== each), taken = others.map(([, spot]) => spot);
  const own = placed.find(([other]) => other === each);
  return [...others, own ?? [each, freePlace(anywhere(plate, anchor), plate, taken, area).spot]];
}

function paintPlate(context, { left, top, right, bottom }, { caption, colour }) {
  context.beginPath();
  context.roundRect(left, top, right - left, bottom - top, (bottom - top) * 0.28);
  context.fillStyle = css(colour);
  context.fill();
  context.fillStyle = inkOn(colour);
  context.fillText(caption, (left + right) / 2, (top + bottom) / 2 + (bottom - top) * 0.04);
}

/** The first of some places that is free, or the freest. */
function freePlace(places, plate, taken, area) {
  let best = null, least = Infinity;
  for (const [x, y] of places) {
    const spot = moveInside(x, y, plate, area);
    const cost = taken.reduce((sum, other) => sum + commonArea(spot, other), 0);
    if (cost < least) [best, least] = [spot, cost];
    if (!cost) break;
  }
  return { spot: best, cost: least };
}

/** Over the object, or in it. */
function near({ width, height }, { left, top, right, bottom }) {
  const centre = (left + right - width) / 2, middle = (top + bottom - height) / 2;
  return [[left, top - height], [centre, top - height], [right - width, top - height], [centre, middle]];
}

/** Over the object, else in it, under it or beside it. */
function anywhere(plate, anchor) {
  const { width, height } = plate, { left, top, right, bottom } = anchor;
  const centre = (left + right - width) / 2, middle = (top + bottom - height) / 2;
  return [
    ...near(plate, anchor), [left, bottom], [centre, bottom], [right - width, bottom], [right, middle],
    [left - width, middle], ...[1, -1, 2, -2, 3, -3].map((step) => [centre, middle + step * height]),
  ];
}

function grown({ left, top, right, bottom }, by) {
  return { left: left - by, top: top - by, right: right + by, bottom: bottom + by };
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
