// The button that copies a question, to the byte.

export default function ({ data, parentElement }) {
  const there = parentElement.querySelector(":scope > .copy-question");
  if (there) {
    there.question = data.text;
    return;
  }
  const box = document.createElement("span");
  box.className = "copy-question";
  box.question = data.text;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy question";
  const spoken = document.createElement("span");
  spoken.className = "spoken";
  spoken.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    await copy(box.question);
    sayCopied(button, spoken);
  });
  box.append(button, spoken);
  parentElement.append(box);
}
