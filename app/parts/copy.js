// Copying text as it stands, for answer.js and question.js: each of them is read with this above it.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // not in a secure context, or not allowed: the older way, which takes the text as it is, too
    const put = (event) => {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    };
    document.addEventListener("copy", put, { once: true });
    document.execCommand("copy");
    document.removeEventListener("copy", put);
  }
}
