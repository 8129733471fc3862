// What is typed into the box to ask in goes to Longdesk a moment after, with the session that it was typed in, so that
// it is there again after another session, a reload, a restart. Streamlit's own box tells nothing until it is sent.
// What Longdesk has not got yet when the page is left stays with the browser, and goes to it from the next page.

const BOX = "[data-testid=stChatInputTextArea]";
const QUIET_MS = 400;
const AGAIN_MS = 1000; // and longer each time
const MOST_TIMES = 8;

// session: undefined before anything was drawn, null where there is none. kept: what Longdesk has of it. unkept: what it
// has not got yet, and unkeptOf: the session in the address when that was typed, which stands there before it is drawn.
const desk = (window.longdeskDraft ??= {
  session: undefined, tell: null, timer: 0, kept: "", told: "", unkept: null, unkeptOf: null, deaf: true,
});

const addressed = () => new URLSearchParams(location.search).get("session");

const shelf = (session) => `longdesk-draft:${session ?? ""}`;

function heard(event) {
  if (!event.target.matches?.(BOX)) return;
  if (event.type === "input") [desk.unkept, desk.unkeptOf] = [event.target.value, addressed()];
  clearTimeout(desk.timer);
  desk.timer = setTimeout(tellNow, event.type === "input" ? QUIET_MS : 0);
}

function tellNow() {
  clearTimeout(desk.timer);
  const text = document.querySelector(BOX)?.value;
  if (desk.session === null || text === undefined || text === desk.told) return;
  if (!desk.session.startsWith(addressed() ?? "")) return; // another one is about to be drawn
  [desk.told, desk.unkept, desk.unkeptOf] = [text, text, desk.session];
  desk.tell({ session: desk.session, text });
}

function left() {
  if (desk.unkept === null || document.querySelector(BOX)?.value !== desk.unkept) return; // it was asked just now
  const session = desk.unkeptOf ?? desk.session ?? addressed();
  localStorage.setItem(shelf(session), JSON.stringify({ text: desk.unkept, over: desk.told ?? "" }));
}

/** What a page left behind, together with what another one may have written since: neither is lost. */
function joined(left, kept) {
  let read = {};
  try {
    read = JSON.parse(left) ?? {};
  } catch {
    // an earlier Longdesk left the text alone
  }
  const { text = left, over = "" } = read;
  if (over === kept || text.includes(kept)) return text;
  return kept.includes(text) ? kept : `${kept}\n\n${text}`;
}

/** Tells what was left behind until Longdesk has it, or somebody types: told while a page comes up, it may get lost. */
function giveBack(session, nth) {
  const left = localStorage.getItem(shelf(session));
  if (left === null || desk.session !== session || (nth > 1 && desk.unkept !== null)) return;
  const text = joined(left, desk.kept);
  const isThere = text === desk.kept || text === document.querySelector(BOX)?.value;
  if (isThere || nth > MOST_TIMES) return localStorage.removeItem(shelf(session));
  desk.tell({ session, text, back: nth });
  setTimeout(giveBack, nth * AGAIN_MS, session, nth + 1);
}

if (desk.deaf) {
  desk.deaf = false;
  document.addEventListener("input", heard);
  document.addEventListener("focusout", heard); // a click elsewhere may lead away from here
  window.addEventListener("pagehide", left);
}

/** Called by Streamlit at every redraw. data: the session, and what it keeps. */
export default function ({ data, setStateValue }) {
  const begun = desk.session === null && data.session !== null; // what was typed before there was a session goes on
  const shown = desk.session !== data.session && !begun;
  if (desk.session !== data.session) {
    clearTimeout(desk.timer);
    desk.told = data.kept;
  }
  const isOfIt = desk.unkeptOf !== null && desk.unkeptOf === data.session; // it was typed before this was drawn
  if ((shown && !isOfIt) || desk.unkept === data.kept) desk.unkept = null;
  desk.session = data.session;
  desk.tell = (typed) => setStateValue("typed", typed);
  if (begun || (shown && desk.unkept !== null)) desk.timer = setTimeout(tellNow, QUIET_MS);

  desk.kept = data.kept;
  if (shown) giveBack(data.session, 1);
}
