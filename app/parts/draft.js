// What is typed into the box to ask in goes to Longdesk a moment after, with the session that it was typed in, so that
// it is there again after another session, a reload, a restart. Streamlit's own box tells nothing until it is sent.

const BOX = "[data-testid=stChatInputTextArea]";
const QUIET_MS = 400;

const desk = (window.longdeskDraft ??= { session: null, tell: null, timer: 0, told: "", deaf: true });

function heard(event) {
  if (!event.target.matches?.(BOX)) return;
  clearTimeout(desk.timer);
  desk.timer = setTimeout(tellNow, event.type === "input" ? QUIET_MS : 0);
}

function tellNow() {
  clearTimeout(desk.timer);
  const text = document.querySelector(BOX)?.value;
  if (desk.session === null || text === undefined || text === desk.told) return;
  desk.told = text;
  desk.tell({ session: desk.session, text });
}

if (desk.deaf) {
  desk.deaf = false;
  document.addEventListener("input", heard);
  document.addEventListener("focusout", heard); // a click elsewhere may lead away from here
}

/** Called by Streamlit at every redraw. data: the session, and what it keeps. */
export default function ({ data, setStateValue }) {
  const begun = desk.session === null && data.session !== null;
  if (desk.session !== data.session) {
    clearTimeout(desk.timer);
    desk.told = data.kept;
  }
  desk.session = data.session;
  desk.tell = (typed) => setStateValue("typed", typed);
  if (begun) desk.timer = setTimeout(tellNow, QUIET_MS); // what was typed before there was a session
}
