// Copying text as it stands, for answer.js and question.js: each of them is read with this above it.

const COPIED_MS = 2000;

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

// Shows that it was done, on the button and to who cannot see it.
function sayCopied(button, spoken) {
  button.classList.add("copied");
  spoken.textContent = "Copied";
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.classList.remove("copied");
    spoken.textContent = "";
  }, COPIED_MS);
}
