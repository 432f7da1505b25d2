// A list of which only the rows in sight are in the page. Heights are guessed until a row has been shown.

const MARGIN = 900;  // pixels above and below that are made too, so that scrolling shows no blanks
const PASSES = 3;

export class Rows {
  // `make` makes the node of an item, `dress` sets what depends on its neighbours, `guess` tells a height in pixels.
  constructor({ make, dress, guess }) {
    Object.assign(this, { make, dress, guess, items: [], nodes: new Map(), heights: new WeakMap(), tops: [0] });
    this.inner = document.createElement("div");
    this.inner.className = "inner";
    this.inner.setAttribute("role", "list");
    this.scroller = document.createElement("div");
    this.scroller.className = "rows";
    this.scroller.append(this.inner);
    this.scroller.addEventListener("scroll", () => this.layout(), { passive: true });
    this.sizes = new ResizeObserver((entries) => this.measure(entries));
    this.sizes.observe(this.scroller);
  }

  close() {
    this.sizes.disconnect();
  }

  // Shows other items. Those that are the same objects keep their nodes; what is in sight stays where it is.
  set(items) {
    const anchor = this.anchor(new Set(items));
    this.items = items;
    this.index = new Map(items.map((item, number) => [item, number]));
    for (const [item, node] of this.nodes) if (!this.index.has(item)) this.drop(item, node);
    this.stack();
    this.hold(anchor);
    this.layout();
    for (const [item, node] of this.nodes) this.dress(node, this.index.get(item));
  }

  // Lets the node of an item be that of another one, such as while its text is edited.
  rekey(before, now) {
    const node = this.nodes.get(before);
    if (!node || before === now) return;
    this.nodes.delete(before);
    this.nodes.set(now, node);
    this.heights.set(now, this.heights.get(before));
  }

  node(number) {
    return this.nodes.get(this.items[number]);
  }

  drop(item, node) {
    this.sizes.unobserve(node);
    node.remove();
    this.nodes.delete(item);
  }

  height(item) {
    return this.heights.get(item) ?? this.guess(item);
  }

  stack() {
    const tops = new Float64Array(this.items.length + 1);
    this.items.forEach((item, number) => { tops[number + 1] = tops[number] + this.height(item); });
    this.tops = tops;
    this.inner.style.height = `${tops.at(-1)}px`;
  }

  // The last item whose top is at or above a place.
  at(y) {
    let low = 0, high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle] <= y) low = middle + 1; else high = middle;
    }
    return Math.max(0, low - 1);
  }

  // The first item in sight that will stay, and how far its top is from the top of the view.
  anchor(kept) {
    const top = this.scroller.scrollTop;
    for (let number = this.at(top); number < this.items.length; number++) {
      if (!kept || kept.has(this.items[number])) return [this.items[number], this.tops[number] - top];
    }
    return null;
  }

  hold(anchor) {
    if (!anchor) return;
    const wanted = this.tops[this.index.get(anchor[0])] - anchor[1];
    if (Math.abs(wanted - this.scroller.scrollTop) > 0.5) this.scroller.scrollTop = wanted;
  }

  measure(entries) {
    if (!this.scroller.clientHeight) return;
    const width = this.scroller.clientWidth;
    const anchor = this.anchor();
    if (width !== this.width) {
      this.width = width;
      this.heights = new WeakMap();
      for (const [item, node] of this.nodes) this.heights.set(item, node.offsetHeight);
    } else {
      const changed = new Set(entries.map(({ target }) => target));
      for (const [item, node] of this.nodes) if (changed.has(node)) this.heights.set(item, node.offsetHeight);
    }
    if (!this.items.length) return;
    this.stack();
    this.hold(anchor);
    this.layout();
  }

  layout() {
    if (!this.scroller.clientHeight) return;  // heights are unknown while nothing is shown
    for (let pass = 0; pass < PASSES && this.fill(); pass++) {
      const anchor = this.anchor();
      this.stack();
      this.hold(anchor);
    }
    for (const [item, node] of this.nodes) node.style.transform = `translateY(${this.tops[this.index.get(item)]}px)`;
  }

  // Makes and drops nodes; returns whether a height differed from its guess.
  fill() {
    const top = this.scroller.scrollTop, from = this.at(top - MARGIN), to = this.at(top + this.scroller.clientHeight + MARGIN);
    const focused = this.inner.getRootNode().activeElement;
    for (const [item, node] of this.nodes) {
      const number = this.index.get(item);
      if ((number < from || number > to) && !node.contains(focused)) this.drop(item, node);
    }
    const made = [];
    for (let number = from; number <= to && number < this.items.length; number++) {
      const item = this.items[number];
      if (this.nodes.has(item)) continue;
      const node = this.make(item, number);
      this.nodes.set(item, node);
      this.dress(node, number);
      made.push([item, node]);
    }
    if (!made.length) return false;
    this.inner.append(...made.map(([, node]) => node));
    let differs = false;
    for (const [item, node] of made) {
      const height = node.offsetHeight;
      differs ||= height !== this.height(item);
      this.heights.set(item, height);
      this.sizes.observe(node);
    }
    return differs;
  }

  // Scrolls to an item unless it is well in sight.
  reveal(number, always = false) {
    const { scroller } = this, view = scroller.clientHeight, top = this.tops[number], bottom = this.tops[number + 1];
    const inside = top >= scroller.scrollTop + 8 && Math.min(bottom, top + view * 0.6) <= scroller.scrollTop + view - 24;
    if (inside && !always) return;
    const wanted = Math.max(0, top - view * 0.25), near = Math.abs(wanted - scroller.scrollTop) < view;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches || !near;
    scroller.scrollTo({ top: wanted, behavior: calm ? "instant" : "smooth" });
    this.layout();
  }
}
