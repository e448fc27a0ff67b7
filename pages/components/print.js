// A button that prints the page: the browser's own dialogue also saves it as a PDF.
export default function (component) {
  const { parentElement, data } = component;
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.onclick = () => window.print();
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
}
