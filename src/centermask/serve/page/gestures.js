// What hands do on the stage, told apart: a mouse that points, a tap, a drag, two fingers that pinch, a wheel.

const TAP = 8;  // CSS pixels; a finger trembles

/**
 * Listens on an element. `hands` gets points { x, y } of the element:
 * point(at), leave(), tap(at), drag({ x, y }), zoom(factor, at).
 */
export function listen(element, hands) {
  const down = new Map();
  let travelled = 0;
  const at = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!down.size) travelled = 0;
    down.set(event.pointerId, at(event));
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    const before = [...down.values()];
    if (down.has(event.pointerId)) {
      const from = down.get(event.pointerId), to = at(event);
      travelled += Math.hypot(to.x - from.x, to.y - from.y);
      down.set(event.pointerId, to);
      if (travelled > TAP) follow(before, [...down.values()], hands);
    }
    if (event.pointerType === "mouse" && travelled <= TAP) hands.point(at(event));
  });
  element.addEventListener("pointerup", (event) => {
    if (down.delete(event.pointerId) && travelled <= TAP) hands.tap(at(event));
    if (!down.size) travelled = 0;
  });
  element.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hands.leave());
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.documentElement.scrollHeight > innerHeight) return;  // the page scrolls
    event.preventDefault();
    hands.zoom(2 ** (-event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 0.01 : 0.002)), at(event));
  }, { passive: false });
}

/** One finger drags; two drag and pinch. */
function follow(before, now, hands) {
  const from = middle(before), to = middle(now);
  hands.drag({ x: to.x - from.x, y: to.y - from.y });
  if (now.length > 1) hands.zoom(spread(now) / Math.max(1, spread(before)), to);
}

function middle(points) {
  const sum = (key) => points.reduce((total, point) => total + point[key], 0);
  return { x: sum("x") / points.length, y: sum("y") / points.length };
}

function spread([first, second]) {
  return Math.hypot(second.x - first.x, second.y - first.y);
}
