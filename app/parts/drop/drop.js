// A folder that is dropped or chosen, on its way to Longdesk: listed, asked which of it is wanted, sent in one request.
// The other side is app/folders.py. Nothing is fetched from anywhere but the page's own origin.

const FRAME_BYTES = 12; // a place in the list (4), and how many bytes follow (8), little-endian: see app/arrival.py
const END = 0xffffffff;
const SAID = 0xfffffffe;
const MANY = 50; // files that Streamlit's own uploader is left with: it sends each in a request of its own
const AT_ONCE = 32;
const NAMED = 5;
const UPLOADERS = "[data-testid=stFileUploader], [data-testid=stChatInput]";
const NOTHING = "Nothing was added.";

const zones = new WeakMap();
const left = new Set(); // addresses of sessions that the user went away from while a folder was on its way there

/** Called by Streamlit at every redraw; what it returns is called when the component goes. */
export default function ({ data, parentElement, setTriggerValue }) {
  let zone = zones.get(parentElement);
  if (!zone) zones.set(parentElement, (zone = new Zone(parentElement)));
  zone.update(data, (id) => setTriggerValue("arrived", id));
  return () => {
    zone.remove();
    zones.delete(parentElement);
  };
}

/** What went wrong, in a sentence for the user. */
class Refusal extends Error {}

class Zone {
  constructor(root) {
    this.busy = null; // an AbortController, while a folder is on its way
    this.root = root;
    this.build();
    this.onDrop = (event) => this.takeDrop(event);
    this.onChange = (event) => this.takeMany(event);
    // before Streamlit's own, which would send every file of a folder by itself
    document.addEventListener("drop", this.onDrop, true);
    document.addEventListener("change", this.onChange, true);
    this.onLeave = (event) => this.busy && event.preventDefault(); // the browser asks whether to leave
    window.addEventListener("beforeunload", this.onLeave);
  }

  build() {
    this.input = make("input", { type: "file", multiple: true, hidden: true, tabIndex: -1 });
    this.input.webkitdirectory = true;
    this.input.setAttribute("aria-label", "A folder");
    this.button = make("button", { type: "button", className: "choose" }, "Choose a folder");
    this.hint = make("span", { className: "hint" }, "or drop it here; its .gitignore counts");
    this.bar = make("progress", { max: 1, value: 0, hidden: true });
    this.count = make("span", { className: "count" });
    this.stop = make("button", { type: "button", className: "stop", hidden: true }, "Cancel");
    this.said = make("div", { className: "said", hidden: true });
    this.said.setAttribute("role", "alert");
    this.area = make("div", { className: "area" });
    this.line = make("div", { className: "line" });
    this.line.append(this.button, this.hint, this.count, this.stop);
    this.area.append(this.line, this.bar, this.said, this.input);
    this.box = make("div", { className: "box" });
    this.label = make("div", { className: "label", id: "label" }, "A folder");
    this.area.setAttribute("role", "group");
    this.area.setAttribute("aria-labelledby", "label");
    this.box.append(this.label, this.area);
    this.root.append(this.box);
    this.button.addEventListener("click", () => this.input.click());
    this.stop.addEventListener("click", () => this.cancel());
    this.input.addEventListener("change", () => {
      const files = [...this.input.files];
      this.input.value = "";
      if (files.length) this.bring((signal) => listFiles(files, signal));
    });
    for (const kind of ["dragenter", "dragover"]) {
      this.area.addEventListener(kind, (event) => {
        event.preventDefault();
        this.area.classList.add("over");
      });
    }
    for (const kind of ["dragleave", "drop"]) this.area.addEventListener(kind, () => this.area.classList.remove("over"));
  }

  update(data, tell) {
    if (data.address !== this.data?.address) this.goAway(); // another session is shown in the same place
    this.data = data;
    this.tell = tell;
    this.hint.title = data.hint;
    if (left.has(data.address)) {
      this.show("idle", `You left before the folder had arrived. ${NOTHING}`);
      setTimeout(() => left.delete(data.address), 2_000); // Streamlit may build the component anew while it draws
    }
    if (this.arrived && data.seen === this.arrived) this.show("idle");
  }

  remove() {
    document.removeEventListener("drop", this.onDrop, true);
    document.removeEventListener("change", this.onChange, true);
    window.removeEventListener("beforeunload", this.onLeave);
    this.goAway();
    this.box.remove();
  }

  /** A drop on this zone; one on Streamlit's uploaders where it is a folder or many files. */
  takeDrop(event) {
    const path = event.composedPath();
    const here = path.includes(this.area);
    const theirs = path.some((each) => each instanceof Element && each.matches(UPLOADERS));
    if (!here && !theirs) return;
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const many = entries.length > MANY || entries.some((entry) => entry.isDirectory);
    if (!here && !many) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.area.classList.remove("over");
    if (theirs) event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true })); // or they stay lit
    if (entries.length) this.bring((signal, tick) => listEntries(entries, signal, tick));
  }

  /** Many files that were chosen in one of Streamlit's uploaders. */
  takeMany(event) {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.type !== "file" || input.files.length <= MANY) return;
    if (!input.closest(UPLOADERS)) return;
    event.stopImmediatePropagation();
    const files = [...input.files];
    input.value = "";
    this.bring((signal) => listFiles(files, signal));
  }

  cancel() {
    this.busy?.abort();
  }

  goAway() {
    if (this.busy) left.add(this.data.address);
    this.cancel();
    this.arrived = null;
  }

  /** From the list to the last byte. list: gives {items, closed}, see listEntries. */
  async bring(list) {
    if (this.busy) return;
    const { data, tell } = this;
    const signal = (this.busy = new AbortController()).signal;
    try {
      this.show("busy");
      this.progress("Looking through the folder");
      const listed = await list(signal, (n) => this.progress(seen(n)));
      const left = new Set(); // what cannot be read, and the user wants the rest without: places and paths
      let sent = null;
      while (!sent) sent = await this.attempt(data.address, listed, left, signal);
      this.arrived = sent.id;
      this.show("arrived", `${words(sent.arrived)} of ${words(sent.n_wanted)} arrived`);
      tell(sent.id);
    } catch (error) {
      if (signal.aborted) this.show("idle", left.has(data.address) ? "" : `Cancelled. ${NOTHING}`);
      else if (error instanceof Refusal) this.show("idle", error.message);
      else this.show("idle", `Longdesk did not answer (${error.message || error}). ${NOTHING} Give the folder again.`);
    } finally {
      this.busy = null;
    }
  }

  /** One round: list, rules, files. Gives null where it is to be done again without what turned out to be unreadable. */
  async attempt(address, { items, closed }, left, signal) {
    this.progress(seen(items.length));
    const list = { files: items.map((item) => item.path), closed };
    const { id, rules } = await ask(address, JSON.stringify(list), signal);
    const forget = () => fetch(`${address}/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
    try {
      const judged = await ask(`${address}/${id}/rules`, await packRules(items, rules, signal), signal);
      const failed = (await resolve(items, judged.send.filter((at) => !left.has(at)))).concat(
        judged.closed.filter((path) => !left.has(path)),
      );
      if (failed.length) await this.agree(items, failed, judged, left, signal);
      const load = await plan(items, judged, left);
      return { id, n_wanted: judged.send.length, ...(await this.send(`${address}/${id}/files`, load, signal)) };
    } catch (error) {
      forget();
      if (signal.aborted || error instanceof Refusal || !error.load) throw error;
      this.progress("Looking for what cannot be read");
      const failed = await unreadable(items, [...error.load.wanted, ...error.load.extra]);
      if (!failed.length) throw error;
      await this.agree(items, failed, error.load.judged, left, signal);
      return null;
    }
  }

  /** Sends it, with the number of files that have gone. Errors: those of `post`, with the load. */
  async send(address, load, signal) {
    const { body, ends } = pack(load);
    const n_files = ends.length;
    this.progress(`0 of ${words(n_files)}`, 0);
    try {
      return await post(address, body, signal, (n_bytes) => {
        this.progress(`${words(countUpTo(ends, n_bytes))} of ${words(n_files)}`, n_bytes / body.size);
      });
    } catch (error) {
      throw Object.assign(error, { load });
    }
  }

  /** Names what cannot be read and asks whether the rest is to be added. Errors: Refusal where it is not. */
  async agree(items, failed, judged, left, signal) {
    const sentence = cannotRead(failed.map((at) => (typeof at === "string" ? at : items[at].path)));
    const n_rest = judged.send.filter((at) => !failed.includes(at) && !left.has(at)).length;
    if (!n_rest || !(await this.goOn(sentence, n_rest, signal))) throw new Refusal(`${sentence} ${NOTHING}`);
    for (const at of failed) left.add(at);
  }

  goOn(sentence, n_rest, signal) {
    return new Promise((answer) => {
      this.show("asking", `${sentence} Nothing was added yet.`);
      const yes = make("button", { type: "button", className: "choose" }, `Add the other ${words(n_rest)}`);
      const no = make("button", { type: "button", className: "stop" }, "Add nothing");
      const line = make("div", { className: "line" });
      line.append(yes, no);
      this.said.append(line);
      signal.addEventListener("abort", () => answer(false));
      no.addEventListener("click", () => answer(false));
      yes.addEventListener("click", () => {
        this.show("busy");
        answer(true);
      });
    });
  }

  /** share: of the whole; null where it is not known. */
  progress(text, share = null) {
    this.count.textContent = text;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
    this.bar.setAttribute("aria-label", text);
  }

  show(what, text = "") {
    const busy = what === "busy";
    this.box.dataset.state = what;
    this.line.hidden = what === "asking";
    this.button.hidden = this.hint.hidden = what !== "idle";
    this.bar.hidden = this.stop.hidden = !busy;
    this.count.hidden = !busy && what !== "arrived";
    this.count.textContent = text;
    this.said.hidden = !text || what === "arrived";
    this.said.replaceChildren(...(this.said.hidden ? [] : [make("span", { dir: "auto" }, text)]));
  }
}

// listing

/** Files as an <input> gives them. The browser has walked through the folder already. Their sizes are asked for when
 * they are wanted: each makes Chromium look at the disk and wait, 20,000 of them for seconds. */
async function listFiles(files) {
  return { items: files.map((file) => ({ path: file.webkitRelativePath || file.name, file })), closed: [] };
}

/** What was dropped: files by their paths below what was dropped, and the folders that cannot be listed. A file's size
 * and bytes are asked for when it is wanted: of 18,000 files below .venv only the names are. */
async function listEntries(entries, signal, tick) {
  const items = [];
  const closed = [];
  const taken = new Set();
  const folders = [];
  const see = (entry, path) => (entry.isDirectory ? folders.push({ entry, path }) : items.push({ path, entry }));
  for (const entry of entries) {
    let name = entry.name;
    for (let n = 2; taken.has(name); n++) name = `${entry.name} ${n}`;
    taken.add(name);
    see(entry, name);
  }
  const visit = async ({ entry, path }) => {
    const reader = entry.createReader();
    try {
      for (;;) {
        const batch = await new Promise((give, fail) => reader.readEntries(give, fail)); // of at most 100
        if (!batch.length) break;
        for (const inner of batch) see(inner, `${path}/${inner.name}`);
      }
    } catch {
      closed.push(path);
    }
  };
  while (folders.length) {
    signal.throwIfAborted();
    await Promise.all(folders.splice(-AT_ONCE).map(visit));
    tick(items.length);
  }
  return { items, closed };
}

/** Makes sure that files are at hand, not only their entries. Gives the places where that fails. Chromium calls a file
 * empty that is gone or was never to be had, and would send it as an empty one: what is empty is looked into. */
async function resolve(items, places) {
  const failed = [];
  await each(places, async (at) => {
    const item = items[at];
    try {
      item.file ??= await new Promise((give, fail) => item.entry.file(give, fail));
      if (!item.file.size) await item.file.arrayBuffer();
    } catch {
      failed.push(at);
    }
  });
  return failed;
}

/** The places of files that cannot be read to their end. Browsers do not say which file a request failed at. */
async function unreadable(items, places) {
  const failed = [];
  await each(places, async (at) => {
    try {
      const reader = items[at].file.stream().getReader();
      while (!(await reader.read()).done);
    } catch {
      failed.push(at);
    }
  });
  return failed.sort((a, b) => a - b);
}

async function each(places, run) {
  let next = 0;
  const worker = async () => {
    while (next < places.length) await run(places[next++]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

// packing

function head(at, n_bytes) {
  const view = new DataView(new ArrayBuffer(FRAME_BYTES));
  view.setUint32(0, at, true);
  view.setBigUint64(4, BigInt(n_bytes), true);
  return view.buffer;
}

/** The files that rules stand in: every one, for without it more or less would be sent than is wanted. */
async function packRules(items, places, signal) {
  const failed = await resolve(items, places);
  signal.throwIfAborted();
  if (!failed.length) {
    const parts = places.flatMap((at) => [head(at, items[at].file.size), items[at].file]);
    try {
      return await new Blob([...parts, head(END, 0)]).arrayBuffer();
    } catch {
      failed.push(...(await unreadable(items, places)));
    }
  }
  throw new Refusal(`${cannotRead(failed.map((at) => items[at].path))} It says what to leave out. ${NOTHING}`);
}

/** What is sent. Errors: Refusal where it is too much. */
async function plan(items, judged, left) {
  const is_large = (at) => items[at].path.includes("/") && items[at].file.size > judged.max_file_bytes;
  const there = judged.send.filter((at) => !left.has(at));
  const large = there.filter(is_large);
  const wanted = there.filter((at) => !is_large(at));
  const n_bytes = wanted.reduce((sum, at) => sum + items[at].file.size, 0);
  if (n_bytes > judged.max_bytes) throw new Refusal(tooMuch(items, wanted, n_bytes, judged.max_bytes));
  const failed = new Set(await resolve(items, judged.extra));
  let n_left = Math.min(judged.extra_bytes, judged.max_bytes - n_bytes);
  const extra = judged.extra.filter((at) => !failed.has(at) && !left.has(at) && (n_left -= items[at].file.size) >= 0);
  const said = { unreadable: [...left].filter(Number.isInteger), too_large: large.map((at) => [at, items[at].file.size]) };
  return { items, judged, wanted, extra, said };
}

/** One body, made of references: the browser reads the files while it sends. ends: of each wanted file. */
function pack({ items, wanted, extra, said }) {
  const text = new TextEncoder().encode(JSON.stringify(said));
  const parts = [head(SAID, text.length), text];
  let n_bytes = FRAME_BYTES + text.length;
  const ends = [];
  for (const at of [...wanted, ...extra]) {
    const { file } = items[at];
    parts.push(head(at, file.size), file);
    n_bytes += FRAME_BYTES + file.size;
    if (ends.length < wanted.length) ends.push(n_bytes);
  }
  parts.push(head(END, 0));
  return { body: new Blob(parts), ends };
}

function countUpTo(ends, n_bytes) {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= n_bytes) low = middle + 1;
    else high = middle;
  }
  return low;
}

// asking

async function ask(address, body, signal) {
  const answer = await fetch(address, { method: "POST", body, signal, credentials: "same-origin" });
  return understood(answer.status, await answer.text());
}

/** As `ask`, for what is large: fetch does not tell how far it is. */
function post(address, body, signal, tick) {
  return new Promise((give, fail) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.upload.addEventListener("progress", (event) => tick(event.loaded));
    request.addEventListener("load", () => {
      try {
        give(understood(request.status, request.responseText));
      } catch (error) {
        fail(error);
      }
    });
    request.addEventListener("error", () => fail(new Error("the connection was cut")));
    request.addEventListener("abort", () => fail(new DOMException("cancelled", "AbortError")));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    request.open("POST", address);
    request.send(body);
  });
}

function understood(status, text) {
  let said = null;
  try {
    said = JSON.parse(text);
  } catch {
    throw new Error(`status ${status}`);
  }
  if (status === 200) return said;
  throw said.error ? new Refusal(said.error) : new Error(`status ${status}`);
}

// words

function words(n) {
  return n.toLocaleString("en-US");
}

function seen(n_files) {
  return `${words(n_files)} ${n_files === 1 ? "file" : "files"} seen`;
}

function cannotRead(paths) {
  const more = paths.length > NAMED ? ` and ${words(paths.length - NAMED)} more` : "";
  const named = paths.slice(0, NAMED).join(", ") + more;
  return `${named} cannot be read: no permission, or changed or deleted meanwhile.`;
}

function tooMuch(items, wanted, n_bytes, limit) {
  const largest = [...wanted].sort((a, b) => items[b].file.size - items[a].file.size).slice(0, 3);
  const named = largest.map((at) => `${items[at].path} (${size(items[at].file.size)})`).join(", ");
  return `The folder is ${size(n_bytes)}, over the limit of ${size(limit)}. ${NOTHING} The largest files: ${named}.`;
}

function size(n_bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; n_bytes >= 1024 && at < units.length - 1; at++) n_bytes /= 1024;
  return `${at ? n_bytes.toFixed(1) : n_bytes} ${units[at]}`;
}

function make(name, attributes, text = "") {
  const element = Object.assign(document.createElement(name), attributes);
  if (text) element.textContent = text;
  return element;
}
