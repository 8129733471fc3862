// Ready-made questions, listed above the box to ask in while a name is typed behind "/". What is chosen stands in the
// box then, with its open blanks. Streamlit's own box tells nothing until it is sent.

const BOX = "[data-testid=stChatInputTextArea]";
const slash = (window.longdeskSlash ??= { templates: [], at: 0, deaf: true });

function begin() {
  slash.list = document.createElement("ul");
  slash.list.id = "slash-list";
  slash.list.className = "slash-list";
  slash.list.setAttribute("role", "listbox");
  slash.list.setAttribute("aria-label", "Templates");
  slash.list.hidden = true;
  slash.list.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // the box keeps the focus
    const row = event.target.closest("li");
    if (row) choose(slash.fitting[[...slash.list.children].indexOf(row)]);
  });
  (document.querySelector(".stApp") ?? document.body).append(slash.list); // where the colours are
  document.addEventListener("input", (event) => event.target.matches?.(BOX) && show(event.target));
  document.addEventListener("focusin", (event) => event.target.matches?.(BOX) && show(event.target));
  document.addEventListener("focusout", (event) => event.target.matches?.(BOX) && hide());
  document.addEventListener("keydown", pressed, true); // before the box sends what stands in it
  addEventListener("resize", hide);
}

function show(box) {
  const typed = /^\/([A-Za-z0-9_-]*)$/.exec(box.value);
  const wanted = typed?.[1].toLowerCase();
  slash.fitting = typed
    ? slash.templates.filter(({ name, title }) => name.includes(wanted) || title.toLowerCase().includes(wanted))
    : [];
  // a name that is whole needs no list: Enter asks it
  if (!slash.fitting.length || slash.templates.some(({ name }) => name === wanted)) return hide();
  slash.box = box;
  slash.list.replaceChildren(...slash.fitting.map(row));
  mark(0);
  const { left, top, width } = box.getBoundingClientRect();
  slash.list.style.left = `${left}px`;
  slash.list.style.width = `${Math.min(width, 480)}px`;
  slash.list.style.bottom = `${innerHeight - top + 8}px`;
  slash.list.style.maxHeight = `${Math.max(120, Math.min(360, top - 16))}px`;
  slash.list.hidden = false;
  box.setAttribute("aria-controls", slash.list.id);
}

function row({ name, title }, at) {
  const made = document.createElement("li");
  made.id = `slash-${at}`;
  made.setAttribute("role", "option");
  const called = document.createElement("b");
  called.textContent = `/${name}`;
  made.append(called, ` ${title}`);
  return made;
}

function mark(at) {
  slash.at = at;
  [...slash.list.children].forEach((each, nth) => each.setAttribute("aria-selected", String(nth === at)));
  slash.list.children[at]?.scrollIntoView({ block: "nearest" });
  slash.box?.setAttribute("aria-activedescendant", `slash-${at}`);
}

function hide() {
  slash.list.hidden = true;
  slash.box?.removeAttribute("aria-activedescendant");
}

function pressed(event) {
  if (slash.list.hidden || !event.target.matches?.(BOX) || event.isComposing) return;
  const last = slash.fitting.length - 1;
  if (event.key === "ArrowDown") mark(slash.at === last ? 0 : slash.at + 1);
  else if (event.key === "ArrowUp") mark(slash.at ? slash.at - 1 : last);
  else if (event.key === "Escape") hide();
  else if (event.key === "Enter" || event.key === "Tab") choose(slash.fitting[slash.at]);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// As if it had been typed: the box is React's.
function choose({ name, needs }) {
  const blanks = needs.map((blank) => `${blank}: `).join("\n");
  const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
  set.call(slash.box, `/${name}${needs.length > 1 ? "\n" : " "}${blanks}`);
  hide();
  slash.box.dispatchEvent(new Event("input", { bubbles: true }));
  const end = needs.length ? slash.box.value.indexOf(": ") + 2 : slash.box.value.length;
  slash.box.setSelectionRange(end, end);
}

/** Called by Streamlit at every redraw. */
export default function ({ data }) {
  slash.templates = data.templates;
  if (!slash.deaf) {
    if (!slash.list.isConnected) document.querySelector(".stApp")?.append(slash.list);
    return;
  }
  slash.deaf = false;
  begin();
}
