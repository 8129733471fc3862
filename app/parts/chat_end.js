// Scrolls to the end of the chat when a session is opened and when a question joins. Answers come in a moment after the
// page does.

export default function ({ data, parentElement }) {
  const seen = `${data.session} ${data.last}`;
  if (parentElement.dataset.seen === seen) return; // only the rest of the page was drawn anew
  parentElement.dataset.seen = seen;
  const count = (name) => document.getElementsByClassName(name).length;
  const show = (left) => {
    document.querySelector(`.st-key-turn-${Number(data.last)}`)?.scrollIntoView({ block: "end" });
    if (left && count("answer") < count("question")) requestAnimationFrame(() => show(left - 1));
  };
  show(120);
}
