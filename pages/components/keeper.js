/* Tells which words of the transcript are selected; a button keeps them. */
export default function keeper({ parentElement, data, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.title = data.help;
  const selected = () => {
    for (const root of roots(document)) {
      const selection = root.getSelection ? root.getSelection() : document.getSelection();
      if (!selection || selection.isCollapsed) continue;
      const words = [...root.querySelectorAll(".word[data-s]")].filter((word) => selection.containsNode(word, true));
      if (words.length) return words.map((word) => Number(word.dataset.s));
    }
    return [];
  };
  const look = () => {
    const words = selected();
    button.disabled = !words.length;
    if (words.length) button.dataset.span = `${words[0]} ${words[words.length - 1]}`;
  };
  const keep = () => setTriggerValue("span", button.dataset.span);
  const hold = (event) => event.preventDefault(); // a press must not lose the selection
  document.addEventListener("selectionchange", look);
  document.addEventListener("pointerup", look);
  document.addEventListener("keyup", look);
  button.addEventListener("click", keep);
  button.addEventListener("pointerdown", hold);
  look();
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
  return () => {
    document.removeEventListener("selectionchange", look);
    document.removeEventListener("pointerup", look);
    document.removeEventListener("keyup", look);
    button.removeEventListener("click", keep);
    button.removeEventListener("pointerdown", hold);
  };
}

function roots(start) {
  const found = [start];
  for (const element of start.querySelectorAll("*")) if (element.shadowRoot) found.push(...roots(element.shadowRoot));
  return found;
}
