// A source beside the chat. Python sends the part that is looked at: rows as text with classes, a page as a JPEG, boxes
// as numbers. Everything is put in place as text and as properties; nothing of a source is ever read as HTML, and
// nothing is fetched.

const SIGNS = { verified: "✓", altered: "≠", missing: "?" };
const MODES = { page: "Page", text: "Text", picture: "Image" };
const TYPING_MS = 450;
const JPEG = "data:image/jpeg;base64,";
const views = new WeakMap();

/** Called by Streamlit at every redraw; what it returns is called when the view goes. */
export default function ({ data, parentElement, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) views.set(parentElement, (view = new View(parentElement)));
  view.update(data, (act) => setTriggerValue("act", act));
  return () => {
    view.remove();
    views.delete(parentElement);
  };
}

class View {
  constructor(parent) {
    this.parent = parent;
    this.onKey = (event) => this.keyed(event);
    this.onSelect = () => this.selected();
    this.onMove = () => this.fit();
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("selectionchange", this.onSelect);
    document.addEventListener("scroll", this.onMove, true);
    this.build();
    this.sizes = new ResizeObserver(this.onMove);
    for (const part of [document.documentElement, bottom()]) if (part) this.sizes.observe(part);
  }

  build() {
    this.root = make("section", "source");
    this.root.tabIndex = -1;
    this.title = make("h3", "name");
    this.status = make("span", "status-of");
    this.where = make("span", "where");
    this.count = make("span", "count");
    this.previous = this.button("Previous citation", "‹", () => this.go(this.data.previous));
    this.next = this.button("Next citation", "›", () => this.go(this.data.next));
    this.shut = this.button("Close the source", "✕", () => this.close());
    this.turning = make("span", "turning");
    this.turning.append(this.previous, this.count, this.next);
    const head = make("header", "head");
    head.append(this.title, this.turning, this.shut);
    this.about = make("div", "about");
    this.about.append(this.status, this.where);
    this.difference = make("div", "difference");
    this.notices = make("div", "notices");
    this.buildTools();
    this.body = make("div", "body");
    this.body.tabIndex = 0;
    this.askHere = this.button("", "Ask about this", () => this.ask());
    this.askHere.className = "ask-here";
    this.askHere.hidden = true;
    this.askHere.addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays
    this.foot = make("footer", "foot");
    this.root.append(head, this.about, this.difference, this.notices, this.tools, this.body, this.askHere, this.foot);
    this.parent.append(this.root);
  }

  buildTools() {
    this.tools = make("div", "tools");
    this.modes = make("span", "modes");
    this.modes.setAttribute("role", "group");
    this.modes.setAttribute("aria-label", "Show as");
    this.search = make("input", "search");
    this.search.type = "search";
    this.search.placeholder = "Search in this source";
    this.search.setAttribute("aria-label", "Search in this source");
    this.search.maxLength = 500;
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.find(0), TYPING_MS);
    });
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.find(event.shiftKey ? -1 : 1);
    });
    this.hits = make("span", "hits");
    this.hits.setAttribute("role", "status");
    this.hitBefore = this.button("Previous place", "↑", () => this.find(-1));
    this.hitAfter = this.button("Next place", "↓", () => this.find(1));
    this.askButton = this.button("", "Ask about this", () => this.ask());
    this.askButton.className = "ask-this";
    this.tools.append(this.modes, this.search, this.hits, this.hitBefore, this.hitAfter, this.askButton);
  }

  button(label, words, done) {
    const made = make("button", "", words);
    made.type = "button";
    if (label) {
      made.title = label;
      made.setAttribute("aria-label", label);
    }
    made.addEventListener("click", done);
    return made;
  }

  update(data, act) {
    this.act = act;
    if (this.data?.nth === data.nth) return;
    const isNew = !this.data || this.data.path !== data.path || this.data.number !== data.number;
    const isOpened = !this.data || this.closing;
    this.data = data;
    this.closing = false;
    this.root.hidden = false;
    this.drawHead(data);
    this.drawTools(data);
    this.body.replaceChildren();
    this.body.className = `body ${data.mode}`;
    if (data.mode === "text") this.drawRows(data);
    else if (data.image) this.drawPicture(data);
    this.drawFoot(data);
    this.askHere.hidden = true;
    this.fit();
    this.show(data);
    this.mark(data.number);
    this.keepInSight();
    if (isOpened || (isNew && !this.root.contains(document.activeElement))) this.root.focus({ preventScroll: true });
  }

  drawHead(data) {
    this.root.setAttribute("aria-label", data.number ? `Citation ${data.number}: ${data.path}` : `Source: ${data.path}`);
    this.title.textContent = data.title;
    this.title.title = data.path;
    this.status.className = `status-of ${data.status ?? ""}`;
    this.status.textContent = data.status ? `${SIGNS[data.status]} ${data.standing}` : "";
    this.where.textContent = [data.path === data.title ? "" : data.path, data.where, data.facts].filter(Boolean).join(" · ");
    this.turning.hidden = !data.number;
    this.count.textContent = data.number ? `[${data.number}] of ${data.of}` : "";
    this.previous.disabled = !data.previous;
    this.next.disabled = !data.next;
    this.difference.replaceChildren();
    if (data.pieces?.length) {
      this.difference.append(make("span", "said", "The answer's words, with the source's where they differ: "));
      for (const [what, words] of data.pieces) {
        this.difference.append(make({ gone: "ins", new: "del" }[what] ?? "span", "", words));
      }
    }
    this.notices.replaceChildren(...data.notices.map((words) => make("p", "", words)));
  }

  drawTools(data) {
    const inText = data.mode === "text" || data.modes.includes("text");
    this.search.hidden = !inText;
    this.askButton.hidden = data.mode !== "text";
    if (document.activeElement !== this.search) this.search.value = data.found?.words ?? "";
    const { n = 0, at = 0 } = data.found ?? {};
    this.hits.textContent = !data.found ? "" : n ? `${(at + 1).toLocaleString("en")} of ${n.toLocaleString("en")}${n === 10000 ? "+" : ""}` : "not found";
    this.hitBefore.hidden = this.hitAfter.hidden = !n;
    this.modes.replaceChildren(
      ...data.modes.map((mode) => {
        const made = this.button("", MODES[mode], () => this.act({ what: "mode", mode }));
        made.setAttribute("aria-pressed", String(mode === data.mode));
        return made;
      }),
    );
    this.tools.hidden = !inText;
  }

  drawRows(data) {
    const rows = make("div", "rows");
    rows.style.setProperty("--digits", String(String(data.total).length));
    for (const [line, piece, start, runs, names] of data.rows) {
      const row = make("div", `row ${names}`);
      row.dataset.line = piece ? "…" : String(line);
      row.line = line;
      row.piece = piece;
      row.start = start;
      for (const run of runs) row.append(typeof run === "string" ? run : marked(run[0], run[1]));
      if (!runs.length) row.append(make("br"));
      rows.append(row);
    }
    this.body.append(rows);
  }

  drawPicture(data) {
    const sheet = make("div", "sheet");
    const image = new Image();
    image.alt = data.name || this.root.getAttribute("aria-label");
    if (data.image.address.startsWith(JPEG)) image.src = data.image.address;
    sheet.append(image);
    sheet.style.aspectRatio = `${data.image.width} / ${data.image.height}`;
    if (data.tiles) {
      const [columns, rows, tokens] = data.tiles;
      sheet.classList.add("tiled");
      sheet.style.aspectRatio = `${columns} / ${rows}`;
      for (let at = 0; at < columns * rows; at++) {
        const tile = make("i", data.lit_tiles.includes(at) ? "tile lit" : "tile");
        place(tile, [(at % columns) / columns, Math.floor(at / columns) / rows, ((at % columns) + 1) / columns, (Math.floor(at / columns) + 1) / rows]);
        tile.append(make("span", "", tokens.toLocaleString("en")));
        sheet.append(tile);
      }
    }
    for (const shares of data.boxes) {
      const box = make("i", "box");
      place(box, shares);
      sheet.append(box);
    }
    if (data.whole) sheet.classList.add("whole");
    this.body.append(sheet);
  }

  drawFoot(data) {
    this.foot.replaceChildren();
    if (data.cost) this.foot.append(make("span", "cost", data.cost));
    if (data.image) this.drawZoom();
    if (data.page && data.page.of > 1) {
      const { number, of } = data.page;
      const what = data.mode === "page" ? "Page" : "Image";
      this.leaf(`Previous ${what.toLowerCase()}`, number > 1, () => this.act({ what: "page", page: number - 1 }));
      this.foot.append(make("span", "", `${what} ${number.toLocaleString("en")} of ${of.toLocaleString("en")}`));
      this.leaf(`Next ${what.toLowerCase()}`, number < of, () => this.act({ what: "page", page: number + 1 }));
    }
    if (data.mode === "text" && (data.before !== null || data.after !== null)) this.drawMoving(data);
    this.foot.hidden = !this.foot.childElementCount;
  }

  drawZoom() {
    const zoom = this.button("", "Zoom", () => {
      const isLarge = this.body.classList.toggle("zoomed");
      zoom.setAttribute("aria-pressed", String(isLarge));
      this.body.querySelector(".box")?.scrollIntoView({ block: "center", inline: "center" });
    });
    zoom.setAttribute("aria-pressed", "false");
    this.foot.append(zoom);
  }

  drawMoving({ before, after, total, rows }) {
    this.leaf("Earlier", before !== null, () => this.act({ what: "rows", start: before, scroll: "bottom" }));
    const [first, last] = [rows[0][0], rows[rows.length - 1][0]].map((line) => line.toLocaleString("en"));
    this.foot.append(make("span", "", `Lines ${first}–${last} of ${total.toLocaleString("en")}`));
    this.leaf("Later", after !== null, () => this.act({ what: "rows", start: after, scroll: "top" }));
    if (total < 2) return;
    const label = make("label", "to-line", "Line ");
    const line = make("input", "");
    line.inputMode = "numeric";
    line.addEventListener("keydown", (event) => {
      const wanted = Number(line.value.replace(/\D/g, ""));
      if (event.key === "Enter" && wanted) this.act({ what: "line", line: wanted });
    });
    label.append(line);
    this.foot.append(label);
  }

  leaf(label, can, done) {
    const made = this.button("", label, done);
    made.disabled = !can;
    this.foot.append(made);
  }

  /** Brings into sight what is cited or was found. */
  show(data) {
    this.body.scrollTop = 0;
    if (data.mode !== "text") {
      const box = this.body.querySelector(".box");
      const image = this.body.querySelector("img");
      const bring = () => box?.scrollIntoView({ block: "center", inline: "center" });
      if (box && image && !image.complete) image.addEventListener("load", bring, { once: true });
      if (box) bring();
      return;
    }
    if (data.scroll === "top") return;
    if (data.scroll === "bottom") {
      this.body.scrollTop = this.body.scrollHeight;
      return;
    }
    const rows = [...this.body.querySelectorAll(".row")];
    const target = this.body.querySelector(`.${data.target}`) ?? rows.findLast((row) => row.start <= data.at);
    if (target && data.at > 0) {
      const gap = target.getBoundingClientRect().top - this.body.getBoundingClientRect().top;
      this.body.scrollTop += gap - this.body.clientHeight / 3;
    }
  }

  /** Down to the question field, whose height depends on what is written there. */
  fit() {
    const room = (bottom()?.getBoundingClientRect().top ?? innerHeight) - this.root.getBoundingClientRect().top - 12;
    const give = (height) => this.root.style.setProperty("--room", `${Math.max(288, Math.round(height))}px`);
    give(room);
    // beside a short chat it alone would make the page scroll, and its head would go below the budget
    const page = this.root.closest('[data-testid="stMain"]');
    const over = page ? page.scrollHeight - page.clientHeight : 0;
    const chat = document.querySelector(".chat-end")?.getBoundingClientRect().bottom ?? Infinity;
    if (over > 0 && chat < this.root.getBoundingClientRect().bottom) give(room - over);
  }

  /** The chat grew narrower: the button that was pressed is to be seen yet. */
  keepInSight() {
    const button = this.opener();
    if (!button || getComputedStyle(this.root).position === "fixed") return;
    const { top, bottom: low } = button.getBoundingClientRect();
    if (top < 110 || low > (bottom()?.getBoundingClientRect().top ?? innerHeight)) button.scrollIntoView({ block: "center" });
  }

  opener() {
    const { turn, number, path } = this.data;
    return turn
      ? document.querySelector(`.answer[data-turn="${Number(turn)}"] button.cite[data-cite="${Number(number)}"]`)
      : [...document.querySelectorAll(".st-key-tree [class*='st-key-open-'] button")].find((one) => one.textContent.trim() === `Open ${path}`);
  }

  /** Which of the answer's buttons is pressed; Python draws the answer anew only when a source is opened or closed. */
  mark(number) {
    for (const one of document.querySelectorAll(`.answer[data-turn="${Number(this.data.turn)}"] [data-cite]`)) {
      one.setAttribute("aria-pressed", String(Number(one.dataset.cite) === number));
    }
  }

  find(step) {
    clearTimeout(this.typing);
    const words = this.search.value;
    const { found } = this.data;
    if ((found?.words ?? "") === words) {
      if (found?.n && step) this.act({ what: "find", words, hit: (found.at + step + found.n) % found.n });
    } else this.act({ what: "find", words, hit: 0 });
  }

  go(to) {
    if (to) this.act({ what: "go", number: to[0], path: to[1] });
  }

  keyed(event) {
    if (event.key !== "Escape" || event.defaultPrevented || this.root.hidden) return;
    if (document.querySelector("[role=dialog]")) return;
    event.preventDefault();
    this.close();
  }

  /** Closes at once, before Python has said so, and gives the focus back to what opened it. */
  close() {
    this.closing = true;
    this.root.hidden = true;
    this.mark(null);
    this.act({ what: "close" });
    this.back(60);
  }

  back(left) {
    const there = this.opener();
    if (there?.checkVisibility()) there.focus();
    else if (left) setTimeout(() => this.back(left - 1), 50);
  }

  selected() {
    const range = this.range();
    this.askHere.hidden = !range;
    if (!range) return;
    const frame = this.root.getBoundingClientRect();
    const ends = range.getClientRects();
    const end = ends[ends.length - 1];
    if (!end || end.bottom < frame.top || end.top > frame.bottom) {
      this.askHere.hidden = true;
      return;
    }
    this.askHere.style.top = `${Math.min(end.bottom - frame.top + 6, frame.height - 40)}px`;
    this.askHere.style.left = `${Math.max(8, Math.min(end.right - frame.left - 60, frame.width - 140))}px`;
  }

  /** What is selected in the rows; null without. */
  range() {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    return this.body.contains(range.commonAncestorContainer) && this.body.querySelector(".rows") ? range : null;
  }

  /** Puts what is selected, or else what is cited, into the question. */
  ask() {
    const range = this.range();
    const rows = [...this.body.querySelectorAll(".row")];
    let taken = range ? rows.filter((row) => range.intersectsNode(row)) : rows.filter((row) => row.matches(".lit, .here"));
    let texts = taken.map((row) => (range ? within(row, range) : row.textContent));
    while (range && texts.length && !texts[0]) [texts, taken] = [texts.slice(1), taken.slice(1)];
    while (range && texts.length && !texts[texts.length - 1]) [texts, taken] = [texts.slice(0, -1), taken.slice(0, -1)];
    if (!taken.length) {
      this.say("Select a passage first.");
      return;
    }
    const [first, last] = [taken[0].line, taken[taken.length - 1].line];
    const part = this.data.parts.findLast(([start]) => start <= taken[0].start)?.[1];
    const place = this.data.path + (part ? `, ${part}` : `:${first}${last > first ? `–${last}` : ""}`);
    let passage = "";
    taken.forEach((row, at) => (passage += (at && !row.piece ? "\n> " : at ? "" : "> ") + texts[at]));
    write(`> ${place}\n${passage}\n\n`);
    getSelection().removeAllRanges();
    this.askHere.hidden = true;
    if (getComputedStyle(this.root).position === "fixed") this.close();
  }

  say(words) {
    this.hits.textContent = words;
  }

  remove() {
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("selectionchange", this.onSelect);
    document.removeEventListener("scroll", this.onMove, true);
    this.sizes.disconnect();
    clearTimeout(this.typing);
    this.root.remove();
  }
}

const bottom = () => document.querySelector("[data-testid=stBottom]");

function make(name, className, words) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (words !== undefined) made.textContent = words;
  return made;
}

/** A run of text. A sign that acts stands alone, in a direction of its own, below its number. */
function marked(names, words) {
  const run = make("span", names, words);
  if (names.split(" ").includes("acting")) {
    run.dataset.sign = `U+${words.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  }
  return run;
}

function place(element, [left, top, right, bottom]) {
  element.style.left = `${100 * left}%`;
  element.style.top = `${100 * top}%`;
  element.style.width = `${100 * (right - left)}%`;
  element.style.height = `${100 * (bottom - top)}%`;
}

/** The part of a row that a range takes. */
function within(row, range) {
  const own = document.createRange();
  own.selectNodeContents(row);
  if (range.compareBoundaryPoints(Range.START_TO_START, own) > 0) own.setStart(range.startContainer, range.startOffset);
  if (range.compareBoundaryPoints(Range.END_TO_END, own) < 0) own.setEnd(range.endContainer, range.endOffset);
  return own.toString();
}

/** Puts words before what is being written as the next question. React hears of it as of something typed. */
function write(words) {
  const box = document.querySelector("[data-testid=stChatInputTextArea]");
  if (!box || box.disabled) return;
  const before = box.value && !box.value.endsWith("\n") ? `${box.value}\n\n` : box.value;
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, before + words);
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}
