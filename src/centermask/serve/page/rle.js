// Masks as COCO's compressed run-length codes: runs go down the columns, background first. The picture-sized plane is
// never made: what is asked of a mask (its area, its box, whether it holds a pixel) is read off the runs.

/** The runs behind a compressed string, as ops/rle.py reads them. */
export function decodeRuns(counts) {
  const runs = [];
  for (let place = 0; place < counts.length; ) {
    let value = 0, weight = 1, digit;
    do {  // groups of five bits, lowest first; 32 says that more follow, 16 of the last is the sign
      digit = counts.charCodeAt(place++) - 48;
      if (!(digit >= 0 && digit < 64)) throw new Error("a mask is broken");
      value += (digit & 31) * weight;
      weight *= 32;
    } while (digit & 32);
    if (digit & 16) value -= weight;
    // From the fourth on, a number is the difference to the run before the last one.
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/** One object's mask. */
export class Mask {
  constructor({ size: [height, width], counts }) {
    const runs = decodeRuns(counts);
    this.height = height;
    this.width = width;
    /** Where the mask begins, ends, begins again …, counted down the columns. */
    this.edges = new Uint32Array(runs.length);
    let end = 0;
    runs.forEach((run, i) => {
      if (run < 0) throw new Error("a mask is broken");
      this.edges[i] = end += run;
    });
    if (end !== height * width) throw new Error("a mask is not of the picture's size");
    this.area = runs.reduce((sum, run, i) => (i % 2 ? sum + run : sum), 0);
    this.bounds = boundsOf(this);
  }

  /** Whether the pixel in column x and row y belongs to the object. */
  contains(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false;
    const place = x * this.height + y;
    let low = 0, high = this.edges.length;
    while (low < high) {  // how many edges lie at or before the place
      const middle = (low + high) >> 1;
      if (this.edges[middle] <= place) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  }

  /** Calls `visit(column, top, bottom)` for each stretch of the mask, none longer than a column. */
  forEachStretch(visit) {
    for (let i = 0; i + 1 < this.edges.length; i += 2) {
      let start = this.edges[i];
      const end = this.edges[i + 1];
      while (start < end) {
        const column = Math.floor(start / this.height), top = start - column * this.height;
        const bottom = Math.min(this.height, top + end - start);
        visit(column, top, bottom);
        start += bottom - top;
      }
    }
  }
}

/** The smallest rectangle around the pixels; null if there are none. */
function boundsOf(mask) {
  let left = Infinity, top = Infinity, right = 0, bottom = 0;
  mask.forEachStretch((column, from, to) => {
    left = Math.min(left, column);
    right = column + 1;
    top = Math.min(top, from);
    bottom = Math.max(bottom, to);
  });
  return right ? { left, top, right, bottom } : null;
}
