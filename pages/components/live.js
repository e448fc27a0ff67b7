// What runs and waits: asked for every two seconds while somebody looks, drawn without asking Python.
const EVERY_MS = 2000;
const boards = new WeakMap();

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

class Board {
  constructor(root) {
    this.root = root.querySelector(".board");
    this.tag = "";
    this.onvisible = () => this.look();
    document.addEventListener("visibilitychange", this.onvisible);
  }

  use(data, send) {
    this.data = data;
    this.send = send;
    if (data.first) this.draw(data.first);
    if (!this.timer) this.timer = setInterval(() => this.look(), EVERY_MS);
  }

  async look() {
    if (document.hidden || this.asking) return;
    this.asking = true;
    try {
      const headers = { "X-Ticket": this.data.ticket, "If-None-Match": this.tag };
      const answer = await fetch(`/api/live?language=${this.data.language}`, { headers, cache: "no-store" });
      if (answer.status === 401) this.send("changed", `ticket ${Date.now()}`);
      if (answer.ok) {
        this.tag = answer.headers.get("ETag") || "";
        this.take(await answer.json());
      }
    } catch {
      // the tool is being restarted: the page keeps what it shows and asks again
    } finally {
      this.asking = false;
    }
  }

  take(board) {
    if (this.data.sections) this.draw(board);
    const stamp = this.stampOf(board);
    if (this.stamp !== undefined && stamp !== this.stamp) this.send("changed", `${stamp} ${Date.now()}`);
    this.stamp = stamp;
  }

  // What the part of the page that Python draws depends on: all of the work, or the cards above these lists.
  stampOf(board) {
    return this.data.sections ? board.decisions : board.stamp;
  }

  draw(board) {
    if (this.stamp === undefined) this.stamp = this.stampOf(board);
    if (!this.data.sections) return;
    const labels = this.data.labels;
    const parts = [];
    if (board.notice) parts.push(element("p", "notice", board.notice));
    parts.push(element("h3", "", labels.running));
    if (!board.running.length && !board.batches) parts.push(element("p", "quiet", labels.idle));
    for (const line of board.running) parts.push(this.line(line, labels.cancel, "cancel"));
    if (board.batches) parts.push(this.batches(board.batches));
    if (board.waiting.length) parts.push(element("h3", "", labels.waiting));
    for (const line of board.waiting) parts.push(this.line(line));
    if (board.summary) parts.push(element("p", "quiet", board.summary));
    if (board.delayed.length) parts.push(element("h3", "", labels.delayed));
    for (const line of board.delayed) parts.push(this.line(line, labels.retry, "retry"));
    const focused = this.root.getRootNode().activeElement?.dataset?.key;
    this.root.replaceChildren(...parts);
    if (focused) this.root.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  batches(text) {
    const row = element("p", "quiet");
    const link = element("a", "", text);
    link.href = "/monitor?view=batches";
    link.target = "_self";
    row.append(link);
    return row;
  }

  line(line, label, what) {
    const row = element("div", "row");
    const head = element("div", "head");
    const title = element(line.id ? "a" : "span", "title", line.title);
    if (line.id) title.href = `/job?id=${line.id}`;
    if (line.id) title.target = "_self";
    head.append(title);
    if (label && line.task && this.data.may) {
      const button = element("button", "act", label);
      button.dataset.key = `${what}-${line.id}`;
      button.onclick = () => {
        button.disabled = true;
        this.send(what, line.task);
      };
      head.append(button);
    }
    row.append(head, element("p", "quiet", line.facts));
    if (line.progress !== null && line.progress !== undefined) {
      const bar = element("div", "bar");
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-valuenow", line.progress);
      bar.setAttribute("aria-label", line.title);
      bar.append(element("div", "done"));
      bar.firstChild.style.width = `${line.progress}%`;
      row.append(bar);
    }
    return row;
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.onvisible);
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  if (!boards.has(parentElement)) boards.set(parentElement, new Board(parentElement));
  boards.get(parentElement).use(data, setTriggerValue);
  return () => {
    boards.get(parentElement)?.close();
    boards.delete(parentElement);
  };
}
