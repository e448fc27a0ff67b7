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
    this.draw(board);
    const stamp = this.stampOf(board);
    if (this.stamp !== undefined && stamp !== this.stamp) this.send("changed", `${stamp} ${Date.now()}`);
    this.stamp = stamp;
  }

  // What the part of the page that Python draws depends on: all of the work, or the cards above these lists.
  stampOf(board) {
    if (this.data.part === "alarms") return "";
    return this.data.part === "board" ? board.decisions : board.stamp;
  }

  draw(board) {
    if (this.stamp === undefined) this.stamp = this.stampOf(board);
    if (this.data.part === "alarms") this.replace(this.alarms(board));
    if (this.data.part === "board") this.replace(this.sections(board));
  }

  replace(parts) {
    const focused = this.root.getRootNode().activeElement?.dataset?.key;
    const open = this.root.querySelector("details")?.open;
    this.root.replaceChildren(...parts);
    if (open && this.root.querySelector("details")) this.root.querySelector("details").open = true;
    if (focused) this.root.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  alarms({ alarms }) {
    const labels = this.data.labels;
    if (!alarms.length) return this.data.quiet ? [] : [element("p", "well", labels.well)];
    const [worst, ...others] = alarms;
    const box = element("div", `alarm ${worst.kind}`);
    box.setAttribute("role", "status");
    box.append(...this.alarm(worst));
    if (others.length) {
      const more = element("details");
      more.append(element("summary", "", labels.more.replace("{n}", others.length)));
      for (const other of others) {
        const row = element("div", "other");
        row.append(...this.alarm(other));
        more.append(row);
      }
      box.append(more);
    }
    return [box];
  }

  alarm({ kind, says, since, tried, fix, view }) {
    const head = element("div", "head");
    const said = element("p", "says", says);
    if (since) said.append(" ", element("span", "quiet", since));
    const button = element("button", "open", this.data.labels.open);
    button.dataset.key = `open-${kind}`;
    button.onclick = () => this.send("open", `${view} ${Date.now()}`);
    head.append(said, button);
    return [head, ...[tried, fix].filter(Boolean).map((text) => element("p", "quiet", text))];
  }

  sections(board) {
    const labels = this.data.labels;
    const parts = [];
    const idle = !board.running.length && !board.batches;
    const nothing = idle && !board.waiting.length && !board.delayed.length;
    if (board.running.length || nothing) parts.push(element("h2", "", labels.running));
    if (nothing) parts.push(element("p", "quiet", labels.idle));
    for (const line of board.running) parts.push(this.line(line, labels.cancel, "cancel"));
    if (board.batches) parts.push(this.batches(board.batches));
    if (board.waiting.length) parts.push(element("h2", "", labels.waiting));
    for (const line of board.waiting) parts.push(this.line(line));
    if (board.summary) parts.push(element("p", "quiet", board.summary));
    if (board.delayed.length) parts.push(element("h2", "", labels.delayed));
    for (const line of board.delayed) parts.push(this.line(line, labels.retry, "retry"));
    if (board.pace.length) parts.push(element("h2", "", labels.pace), this.pace(board.pace));
    return parts;
  }

  // A bar for each minute; what it is in words stands in its label.
  pace(seconds) {
    const most = Math.max(...seconds);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "pace");
    svg.setAttribute("viewBox", `0 0 ${seconds.length * 4} 40`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    const whole = Math.round(seconds.reduce((sum, each) => sum + each, 0) / 60);
    const says = this.data.labels.heard.replace("{n}", whole.toLocaleString(this.data.language));
    svg.setAttribute("aria-label", says);
    seconds.forEach((each, n) => {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = each ? Math.max(1, (40 * each) / most) : 0;
      for (const [name, value] of [["x", 4 * n], ["y", 40 - height], ["width", 3], ["height", height]])
        bar.setAttribute(name, value);
      svg.append(bar);
    });
    const figure = element("figure", "");
    figure.append(svg, element("figcaption", "quiet", says));
    return figure;
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
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
  return () => {
    boards.get(parentElement)?.close();
    boards.delete(parentElement);
  };
}
