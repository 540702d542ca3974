// The list: chunks of rows, of which only those near what is seen are there. The others are empty
// boxes of about the right height.

const CHUNK = 20;
const NEAR = "1500px 0px";
const PRINTED = 500;
const GUESSED_ROW = 120;

class RowList {
  /** `element` holds the rows; `write` makes one of a view, its place and their number. */
  constructor(element, write) {
    this.element = element;
    this.write = write;
    this.views = [];
    this.rows = new WeakMap();
    this.chunks = [];
    this.rowHeight = GUESSED_ROW;
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: NEAR });
  }

  /** Show these views, from the top. */
  show(views) {
    this.observer.disconnect();
    this.views = views;
    this.chunks = [];
    for (let start = 0; start < views.length; start += CHUNK) {
      const box = make("div", "chunk");
      const size = Math.min(CHUNK, views.length - start);
      box.style.height = `${size * this.rowHeight}px`;
      this.chunks.push({ box, start, size, full: false });
    }
    this.places = new Map(this.chunks.map((chunk) => [chunk.box, chunk]));
    this.element.replaceChildren(...this.chunks.map(({ box }) => box));
    if (this.chunks.length) this.fill(this.chunks[0]);
    for (const { box } of this.chunks) this.observer.observe(box);
  }

  viewOf(row) {
    return this.rows.get(row);
  }

  /** Write as many rows as are printed; how many that is. */
  fillForPrint() {
    for (const chunk of this.chunks) {
      if (chunk.start < PRINTED) this.fill(chunk);
      else chunk.box.classList.add("unprinted");
    }
    return Math.min(PRINTED, this.views.length);
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const chunk = this.places.get(target);
      if (chunk === undefined) continue;
      if (isIntersecting) this.fill(chunk);
      else this.empty(chunk);
    }
  }

  fill(chunk) {
    if (chunk.full) return;
    const views = this.views.slice(chunk.start, chunk.start + chunk.size);
    chunk.box.append(
      ...views.map((view, k) => {
        const row = this.write(view, chunk.start + k, this.views.length);
        this.rows.set(row, view);
        return row;
      }),
    );
    chunk.box.style.height = "";
    chunk.full = true;
  }

  empty(chunk) {
    if (!chunk.full || chunk.box.contains(document.activeElement)) return;
    const height = chunk.box.offsetHeight;
    this.rowHeight = height / chunk.size;
    chunk.box.style.height = `${height}px`;
    chunk.box.replaceChildren();
    chunk.full = false;
  }
}
