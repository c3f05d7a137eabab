// The edge of a mask as closed lines. Lines stay crisp at any zoom, and cost as much as the edge is long, not as the
// picture is large.

const RIGHT = 0, DOWN = 1, LEFT = 2, UP = 3;

/** The closed lines around a mask's pixels, each as corners [x, y, x, y, …], the object at their right hand. */
export function traceLoops(mask) {
  const rows = mask.height + 1;
  const ends = directedEdges(mask, rows);
  const loops = [];
  for (const start of ends.keys()) loops.push(follow(ends, start, rows));
  return loops;
}

/** Every straight piece of the edge, by its start and heading: the x or y where it ends. */
function directedEdges(mask, rows) {
  const ends = new Map();
  const add = (x, y, heading, end) => ends.set((x * rows + y) * 4 + heading, end);
  const columns = columnsOf(mask);
  columns.forEach(({ x, stretches }, i) => {
    const before = columns[i - 1]?.x === x - 1 ? columns[i - 1].stretches : [];
    addSides(before, stretches, x, add);
    if (columns[i + 1]?.x !== x + 1) addSides(stretches, [], x + 1, add);
    for (let k = 0; k < stretches.length; k += 2) {
      add(x, stretches[k], RIGHT, x + 1);
      add(x + 1, stretches[k + 1], LEFT, x);
    }
  });
  return ends;
}

/** The columns that hold pixels, each with its stretches [top, bottom, top, bottom, …]. */
function columnsOf(mask) {
  const columns = [];
  mask.forEachStretch((x, top, bottom) => {
    const last = columns.at(-1);
    if (last?.x !== x) columns.push({ x, stretches: [top, bottom] });
    else if (last.stretches.at(-1) === top) last.stretches[last.stretches.length - 1] = bottom;
    else last.stretches.push(top, bottom);
  });
  return columns;
}

/** The upright pieces between two columns: where one of them is set and the other is not. */
function addSides(left, right, x, add) {
  let i = 0, j = 0, y = 0;
  while (i < left.length || j < right.length) {
    const next = Math.min(left[i] ?? Infinity, right[j] ?? Infinity);
    if (i % 2 < j % 2) add(x, next, UP, y);
    if (i % 2 > j % 2) add(x, y, DOWN, next);
    if (left[i] === next) i++;
    if (right[j] === next) j++;
    y = next;
  }
}

/** Walks one line round, and takes its pieces out. Where two pixels touch at a corner only, it stays at its pixel. */
function follow(ends, start, rows) {
  const corners = [];
  let key = start, before = -1;
  do {
    const heading = key % 4, vertex = (key - heading) / 4, end = ends.get(key);
    let x = Math.floor(vertex / rows), y = vertex % rows;
    ends.delete(key);
    if (heading !== before) corners.push(x, y);
    if (heading === RIGHT || heading === LEFT) x = end;
    else y = end;
    before = heading;
    const place = (x * rows + y) * 4;
    key = [1, 0, 3].map((turn) => place + (heading + turn) % 4).find((each) => each === start || ends.has(each));
  } while (key !== start);
  return before === start % 4 ? corners.slice(2) : corners;  // it may have begun in the middle of a straight
}

/**
 * The loops as a path in pixels of the picture.
 * `exact` follows the pixels' borders; otherwise steps are evened out, by half a pixel at most, and points nearer to
 * each other than `tolerance` are passed over.
 */
export function makePath(loops, { exact, tolerance }) {
  const path = new Path2D();
  for (const corners of loops) {
    if (exact) addPolygon(path, corners);
    else addCurve(path, thinOut(evenOut(corners), tolerance));
  }
  return path;
}

function addPolygon(path, points) {
  path.moveTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) path.lineTo(points[i], points[i + 1]);
  path.closePath();
}

/** A smooth line that runs through the middles between points and bends at the points. */
function addCurve(path, points) {
  const n = points.length;
  path.moveTo((points[n - 2] + points[0]) / 2, (points[n - 1] + points[1]) / 2);
  for (let i = 0; i < n; i += 2) {
    const x = points[i], y = points[i + 1], nextX = points[(i + 2) % n], nextY = points[(i + 3) % n];
    path.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  path.closePath();
}

/**
 * Cuts corners. The two corners of a step (one pixel high, turning one way and then back) are joined to the middles of
 * the straights beside them, so that a staircase becomes a slope; every other corner loses half a pixel.
 */
export function evenOut(corners) {
  const n = corners.length / 2;
  const edges = Array.from({ length: n }, (_, i) => edgeFrom(corners, i, n));
  const turnsRight = edges.map((edge, i) => cross(edges[(i + n - 1) % n], edge) > 0);
  const isStep = edges.map((edge, i) => edge.length === 1 && turnsRight[i] !== turnsRight[(i + 1) % n]);
  const reach = (i, j, length) => (isStep[i] || isStep[j] ? length / 2 : 0.5);
  const points = [];
  edges.forEach(({ x, y, dx, dy, length }, i) => {
    const from = reach((i + n - 1) % n, i, length), to = length - reach(i, (i + 1) % n, length);
    points.push(x + dx * from, y + dy * from);
    if (to > from) points.push(x + dx * to, y + dy * to);
  });
  return points;
}

function edgeFrom(corners, i, n) {
  const x = corners[2 * i], y = corners[2 * i + 1], next = (i + 1) % n;
  const toX = corners[2 * next] - x, toY = corners[2 * next + 1] - y;
  const length = Math.abs(toX + toY);  // one of the two is zero
  return { x, y, dx: toX / length, dy: toY / length, length };
}

function cross(first, second) {
  return first.dx * second.dy - first.dy * second.dx;
}

function thinOut(points, tolerance) {
  const kept = points.slice(0, 2);
  for (let i = 2; i < points.length; i += 2) {
    const x = points[i] - kept[kept.length - 2], y = points[i + 1] - kept[kept.length - 1];
    if (x * x + y * y >= tolerance * tolerance) kept.push(points[i], points[i + 1]);
  }
  return kept.length < 6 ? points : kept;
}
