// The picture with its objects: drawn, zoomed, moved, pointed at.

import { listen } from "./gestures.js";
import { paintCaptions, paintMasks, paintPicture } from "./paint.js";
import { objectAt, shownOf } from "./state.js";
import { fillTip, placeTip } from "./tip.js";
import { fitted, moved, onStage, pixelAt, zoomed } from "./view.js";

const LINE = 1.6, TEXT = 12.5;  // CSS pixels
const PIXELS_FROM = 7;  // so many device pixels to a pixel, and the picture is no longer smoothed
const DRAWN_FROM = ["found", "threshold", "opacity", "captions", "hidden", "pointed", "selected"];

export class Stage {
  #store;
  #host;
  #picture;  // the canvas of the picture
  #objects;  // and the one over it
  #tip;
  #view = { scale: 1, left: 0, top: 0 };
  #whole = true;  // the view shows the whole picture
  #mouse = null;
  #small = null;  // the picture resampled once, and well, to the size in which it fits
  #stale = { picture: false, objects: false };

  /** @param host Holds two canvases, the picture's and the objects', and the tip. */
  constructor(host, store) {
    this.#store = store;
    this.#host = host;
    [this.#picture, this.#objects] = host.querySelectorAll("canvas");
    this.#tip = host.querySelector(".tip");
    store.subscribe((now, before) => this.#follow(now, before));
    new ResizeObserver(() => this.#resize()).observe(host);
    listen(host, {
      point: (at) => this.#point(at),
      leave: () => this.#leave(),
      tap: (at) => this.#tap(at),
      drag: (by) => this.#move((...frame) => moved(this.#view, by, ...frame)),
      zoom: (factor, at) => this.zoom(factor, at),
    });
  }

  /** Shows the whole picture. */
  fit() {
    this.#move(fitted);
  }

  /** Zooms around a point of the stage, its middle if none is given. */
  zoom(factor, at = { x: this.#room.width / 2, y: this.#room.height / 2 }) {
    this.#move((...frame) => zoomed(this.#view, factor, at, ...frame));
  }

  get #room() {
    return { width: this.#host.clientWidth, height: this.#host.clientHeight };
  }

  #follow(now, before) {
    if (now.picture !== before.picture) this.#open(now.picture);
    if (!DRAWN_FROM.some((key) => now[key] !== before[key])) return;
    if (now.selected && now.selected !== before.selected) this.#bringIn(now.selected);
    this.#redraw("objects");
    this.#showTip(now);
  }

  #open(picture) {
    this.#small?.bitmap.close();
    this.#small = null;
    this.fit();
    this.#redraw("picture", "objects");
  }

  #resize() {
    if (this.#whole) this.fit();
    else this.zoom(1);
    this.#redraw("picture", "objects");
  }

  /** Takes the view that `next(picture, room)` gives. */
  #move(next) {
    const { picture } = this.#store.state, room = this.#room;
    if (!picture || !room.width || !room.height) return;
    this.#view = next(picture, room);
    this.#whole = this.#view.scale === fitted(picture, room).scale;
    this.#host.classList.toggle("zoomed", !this.#whole);
    this.#redraw("picture", "objects");
    this.#showTip(this.#store.state);
    if (this.#whole) this.#resample(picture);
  }

  /** A large picture is scaled down once for the whole view, so that drawing it anew costs little. */
  async #resample(picture) {
    const scale = this.#view.scale * devicePixelRatio;
    if (scale > 0.7 || (this.#small && Math.abs(this.#small.scale / scale - 1) < 0.02)) return;
    const size = { resizeWidth: Math.ceil(picture.width * scale), resizeHeight: Math.ceil(picture.height * scale) };
    const bitmap = await createImageBitmap(picture.bitmap, { ...size, resizeQuality: "high" }).catch(() => null);
    if (!bitmap || this.#store.state.picture !== picture) return;
    this.#small?.bitmap.close();
    this.#small = { bitmap, scale };
    this.#redraw("picture");
  }

  #bringIn({ mask }) {
    if (!mask.bounds || this.#whole) return;
    const { left, top, right, bottom } = onStage(this.#view, mask.bounds), { width, height } = this.#room;
    if (left >= 0 && top >= 0 && right <= width && bottom <= height) return;
    const by = { x: (width - left - right) / 2, y: (height - top - bottom) / 2 };
    this.#move((...frame) => moved(this.#view, by, ...frame));
  }

  #redraw(...canvases) {
    const asked = this.#stale.picture || this.#stale.objects;
    for (const each of canvases) this.#stale[each] = true;
    if (!asked) requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const { picture, objects } = this.#stale;
    this.#stale = { picture: false, objects: false };
    if (picture) this.#drawPicture(this.#cleared(this.#picture));
    if (objects) this.#drawObjects(this.#cleared(this.#objects));
  }

  #cleared(canvas) {
    const width = Math.round(this.#room.width * devicePixelRatio);
    const height = Math.round(this.#room.height * devicePixelRatio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.resetTransform();
    context.clearRect(0, 0, width, height);
    return context;
  }

  #drawPicture(context) {
    const { picture } = this.#store.state;
    if (!picture) return;
    const scale = this.#view.scale * devicePixelRatio;
    const small = this.#small && scale <= this.#small.scale * 1.02;
    context.imageSmoothingEnabled = scale < PIXELS_FROM;
    context.imageSmoothingQuality = "high";
    paintPicture(context, small ? this.#small.bitmap : picture.bitmap, {
      left: Math.round(this.#view.left * devicePixelRatio),
      top: Math.round(this.#view.top * devicePixelRatio),
      width: Math.round(picture.width * scale),  // whole pixels, or the white below shows at its edges
      height: Math.round(picture.height * scale),
    });
  }

  #drawObjects(context) {
    const { state } = this.#store, shown = shownOf(state), ratio = devicePixelRatio;
    const scale = this.#view.scale * ratio, pointed = state.pointed ?? state.selected;
    context.setTransform(scale, 0, 0, scale, this.#view.left * ratio, this.#view.top * ratio);
    paintMasks(context, shown, { scale, line: LINE * ratio, opacity: state.opacity, pointed });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!state.captions) return;
    const area = { left: 4, top: 4, right: this.#room.width - 4, bottom: this.#room.height - 4 };
    paintCaptions(context, shown, { text: TEXT, place: (bounds) => onStage(this.#view, bounds), area, pointed });
  }

  #showTip({ pointed, selected }) {
    const found = pointed ?? selected;
    this.#tip.hidden = !found;
    if (!found) return;
    fillTip(this.#tip, found);
    const box = onStage(this.#view, found.mask.bounds ?? { left: 0, top: 0, right: 0, bottom: 0 });
    placeTip(this.#tip, pointed && this.#mouse, box, this.#room);
  }

  #under(at) {
    const { x, y } = pixelAt(this.#view, at);
    return objectAt(this.#store.state, x, y);
  }

  #point(at) {
    this.#mouse = at;
    const pointed = this.#under(at);
    this.#host.classList.toggle("over", Boolean(pointed));
    if (pointed !== this.#store.state.pointed) this.#store.set({ pointed });
    else this.#showTip(this.#store.state);
  }

  #leave() {
    this.#mouse = null;
    this.#store.set({ pointed: null });
  }

  #tap(at) {
    this.#store.set({ selected: this.#under(at), pointed: null });
  }
}
