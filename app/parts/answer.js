// An answer on the page. Python sends its blocks as HTML, and as text what the copy buttons copy; here they are put into
// place. Only what has changed is touched, so that nothing flickers, and what was selected stays so, while text streams.

const ELEMENTS = new Set(
  ("p h3 h4 h5 h6 ul ol li blockquote hr br strong em s a code pre span div figure figcaption button label input table thead " +
    "tbody tr th td math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt " +
    "mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none").split(" "),
);
const ATTRIBUTES = new Set(
  ("class dir start href target rel title role tabindex type disabled checked data-to data-code data-cite aria-label aria-hidden " +
    "accent accentunder columnalign columnlines display displaystyle fence form largeop linethickness mathvariant " +
    "movablelimits notation rowlines scriptlevel separator stretchy symmetric columnspacing depth height lspace mathsize " +
    "maxsize minsize rowspacing rspace voffset width alttext").split(" "),
);
const LISTED = 6; // citations that are listed without a click

document.addEventListener("copy", copyFormulas);
document.addEventListener("selectionchange", offerKeeping);

// Browsers look up the names of all hosts that links lead to, before anyone clicks: a name can carry words away.
if (!document.querySelector("meta[http-equiv=x-dns-prefetch-control]")) {
  const meta = document.createElement("meta");
  meta.httpEquiv = "x-dns-prefetch-control";
  meta.content = "off";
  document.head.append(meta);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const answer = parentElement.querySelector(":scope > .answer") ?? begin(parentElement);
  answer.sampled = data;
  answer.keep = (words) => setTriggerValue("keep", { turn: data.turn, words });
  answer.open = (number) => setTriggerValue("cite", { turn: data.turn, number });
  answer.dataset.turn = data.turn ?? "";
  const blocks = answer.firstChild;
  data.blocks.forEach(([html], at) => {
    const block = blocks.children[at] ?? blocks.appendChild(document.createElement("div"));
    if (block.drawn === html) return;
    block.drawn = html;
    liken(block, parse(html));
  });
  while (blocks.children.length > data.blocks.length) blocks.lastChild.remove();
  list(answer, data);
  for (const button of answer.querySelectorAll("[data-cite]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.cite) === data.open));
  }
  answer.hidden = data.blocks.length === 0;
}

// The citations below the answer: a few of them, or all where one is asked for.
function list(answer, { cited = [], summary = "" }) {
  const [head, rows] = answer.querySelector(":scope > .citations").children;
  answer.querySelector(":scope > .citations").hidden = cited.length === 0;
  head.firstChild.textContent = summary;
  head.lastChild.hidden = cited.length <= LISTED;
  head.lastChild.textContent = answer.listsAll ? "Show fewer" : `Show all ${cited.length.toLocaleString("en")}`;
  head.lastChild.setAttribute("aria-expanded", String(Boolean(answer.listsAll)));
  const wanted = answer.listsAll ? cited : cited.slice(0, LISTED);
  wanted.forEach((html, at) => {
    const row = rows.children[at] ?? rows.appendChild(document.createElement("li"));
    if (row.drawn === html) return;
    row.drawn = html;
    liken(row, parse(html));
  });
  while (rows.children.length > wanted.length) rows.lastChild.remove();
}

// A citation that names no place leads to its line in the list.
function openCited(button, answer) {
  const number = Number(button.dataset.cite);
  if (answer.sampled.places[number - 1]) {
    answer.open(number);
    return;
  }
  answer.listsAll ||= number > LISTED;
  list(answer, answer.sampled);
  const row = answer.querySelector(`:scope > .citations button[data-cite="${number}"]`);
  row.scrollIntoView({ block: "nearest" });
  row.focus();
}

function begin(parent) {
  const answer = document.createElement("div");
  answer.className = "answer";
  const foot = document.createElement("div");
  foot.className = "answer-foot";
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "copy";
  copy.textContent = "Copy answer";
  const spoken = document.createElement("span");
  spoken.className = "spoken";
  spoken.setAttribute("role", "status");
  foot.append(copy, spoken);
  const cited = document.createElement("div");
  cited.className = "citations";
  cited.hidden = true;
  const head = document.createElement("div");
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  more.addEventListener("click", () => {
    answer.listsAll = !answer.listsAll;
    list(answer, answer.sampled);
  });
  head.append(document.createElement("span"), more);
  cited.append(head, document.createElement("ol"));
  answer.append(document.createElement("div"), foot, cited);
  answer.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy, button[data-cite]");
    if (button?.dataset.cite) openCited(button, answer);
    else if (button) copyFor(button, answer);
  });
  parent.append(answer);
  return answer;
}

// HTML as nodes that nothing is loaded for. Python lets through only what is listed above; this is the second lock.
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const element of template.content.querySelectorAll("*")) {
    if (!ELEMENTS.has(element.localName)) {
      element.replaceWith(element.outerHTML);
      continue;
    }
    for (const { name, value } of [...element.attributes]) {
      if (!ATTRIBUTES.has(name) || (name === "href" && !/^(https?:|mailto:)/i.test(value))) element.removeAttribute(name);
    }
  }
  return template.content;
}

// Makes the children of one node like those of another, and keeps each that is so already.
function liken(node, wanted) {
  const children = [...wanted.childNodes];
  while (node.childNodes.length > children.length) node.lastChild.remove();
  children.forEach((child, at) => {
    const shown = node.childNodes[at];
    if (!shown) node.append(child);
    else if (shown.nodeName !== child.nodeName) shown.replaceWith(child);
    else if (shown.nodeType !== Node.ELEMENT_NODE) likenText(shown, child.data);
    else if (!shown.isEqualNode(child)) {
      for (const { name } of [...shown.attributes]) if (!child.hasAttribute(name)) shown.removeAttribute(name);
      for (const { name, value } of child.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
      liken(shown, child);
    }
  });
}

function likenText(shown, wanted) {
  if (wanted.startsWith(shown.data)) shown.appendData(wanted.slice(shown.data.length));
  else shown.data = wanted;
}

async function copyFor(button, answer) {
  const { text, blocks } = answer.sampled;
  const block = button.closest(".answer > div > div");
  const at = button.dataset.code;
  await copy(at === undefined ? text : blocks[[...block.parentNode.children].indexOf(block)][1][Number(at)]);
  sayCopied(button, answer.querySelector(":scope > .answer-foot > .spoken"));
}

// What is selected and copied has formulas as they were written: while it is read, they are shown so.
function copyFormulas(event) {
  if (event.target.closest?.("input, textarea")) return;
  const selection = getSelection();
  const answers = [...document.querySelectorAll(".answer:has(.formula)")].filter((answer) => selection.containsNode(answer, true));
  if (!answers.length) return;
  for (const answer of answers) answer.classList.add("copying");
  event.clipboardData.setData("text/plain", selection.toString());
  for (const answer of answers) answer.classList.remove("copying");
  event.preventDefault();
}

// What is selected of an answer that is done can be kept as a note: a button at the selection's end.
function offerKeeping() {
  const selection = getSelection();
  const within = (node) => (node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement)?.closest(".answer");
  const answer = selection.isCollapsed ? null : within(selection.anchorNode);
  const words = answer && answer.keep && answer.dataset.turn && within(selection.focusNode) === answer ? wordsOf(selection) : "";
  const button = document.querySelector(".keep-this") ?? makeKeep();
  button.hidden = !words.trim();
  if (button.hidden) return;
  button.keep = () => answer.keep(words);
  const { left, bottom } = selection.getRangeAt(0).getBoundingClientRect();
  button.style.left = `${Math.max(8, Math.min(left, innerWidth - 160))}px`;
  button.style.top = `${Math.max(8, Math.min(bottom + 6, innerHeight - 48))}px`;
}

// Without the numbers of citations, which are none of its words.
function wordsOf(selection) {
  const part = selection.getRangeAt(0).cloneContents();
  for (const each of part.querySelectorAll("button, .spoken")) each.remove();
  for (const each of part.querySelectorAll("td, th, li, p")) each.append(" ");
  return part.textContent;
}

function makeKeep() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "keep-this";
  button.textContent = "Keep as a note";
  button.addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays
  button.addEventListener("click", () => {
    button.keep();
    getSelection().removeAllRanges();
  });
  (document.querySelector(".stApp") ?? document.body).append(button);
  return button;
}
