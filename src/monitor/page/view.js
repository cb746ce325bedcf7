// What part of the drawing is seen: fitted into the window until a person moves it.

const SCALE_MIN = 0.05;
const SCALE_MAX = 2.5;
/** Below this scale, cards show less and larger. */
const FAR_BELOW = 0.62;

export class View {
  #stage;
  #world;
  #scale = 1;
  #x = 0;
  #y = 0;
  #extent = { width: 1, height: 1 };
  #isFitted = true;
  #pointers = new Map();
  #moved = 0;

  constructor(stage, world) {
    this.#stage = stage;
    this.#world = world;
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.#up(event));
    // What ends a drag is no click.
    stage.addEventListener("click", (event) => this.#moved > 5 && event.stopPropagation(), true);
  }

  get size() {
    const { width, height } = this.#stage.getBoundingClientRect();
    return { width: Math.max(width, 100), height: Math.max(height, 100) };
  }

  /** The drawing has this size now. */
  resize(width, height) {
    this.#extent = { width, height };
    if (this.#isFitted) this.fit();
  }

  fit() {
    const { width, height } = this.size;
    const scale = Math.min(width / this.#extent.width, height / this.#extent.height, 1.15);
    this.#isFitted = true;
    this.#scale = Math.max(scale, SCALE_MIN);
    this.#x = (width - this.#extent.width * this.#scale) / 2;
    this.#y = (height - this.#extent.height * this.#scale) / 2;
    this.#show();
  }

  /** Larger or smaller, around a point of the window or its middle. */
  zoom(factor, at = { x: this.size.width / 2, y: this.size.height / 2 }) {
    const scale = Math.min(Math.max(this.#scale * factor, SCALE_MIN), SCALE_MAX);
    this.#x = at.x - ((at.x - this.#x) * scale) / this.#scale;
    this.#y = at.y - ((at.y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#isFitted = false;
    this.#show();
  }

  /** Brings a box into the middle, at a size that can be read. */
  center(box) {
    const { width, height } = this.size;
    this.#scale = Math.max(this.#scale, 0.9);
    this.#x = width / 2 - (box.x + box.width / 2) * this.#scale;
    this.#y = height / 2 - (box.y + box.height / 2) * this.#scale;
    this.#isFitted = false;
    this.#show();
  }

  #show() {
    this.#world.setAttribute("transform", `translate(${this.#x} ${this.#y}) scale(${this.#scale})`);
    this.#stage.classList.toggle("far", this.#scale < FAR_BELOW);
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * 0.0015), this.#at(event));
  }

  #down(event) {
    if (this.#pointers.size === 0) this.#moved = 0;
    this.#pointers.set(event.pointerId, this.#at(event));
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#at(event);
    this.#moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.#moved <= 5) return;
    // Only once it is a drag: a captured pointer clicks on nothing.
    this.#stage.setPointerCapture(event.pointerId);
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (other) {
      this.zoom(distance(now, other) / Math.max(distance(before, other), 1), other);
    } else {
      this.#x += now.x - before.x;
      this.#y += now.y - before.y;
      this.#isFitted = false;
      this.#show();
    }
    this.#pointers.set(event.pointerId, now);
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
  }

  #at(event) {
    const { left, top } = this.#stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
