// Sends files in pieces by tus 1.0 and goes on where it stopped: after a broken connection, and after the
// page was closed, when the same file is chosen again.
const senders = new WeakMap();
const PIECE_BYTES = 8 * 1024 * 1024;
const PAUSES_MS = [1000, 2000, 5000, 10000, 30000];
const TASK = "Stenogram-Task-Id";
const MOST_REPORTS = 5;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const element = (tag, className, text) => {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Trouble that is worth another try; an upload that stands elsewhere than we thought (409) is asked first.
const passes = (method, status) =>
  (status >= 500 && status !== 507) || status === 429 || (status === 409 && method !== "POST");

class Refused extends Error {}

class Sender {
  constructor(root) {
    this.list = root.querySelector(".list");
    this.zone = root.querySelector(".zone");
    this.pick = root.querySelector(".pick");
    this.button = root.querySelector(".choose");
    this.all = root.querySelector(".all");
    this.items = [];
    this.queue = Promise.resolve();
    this.button.onclick = () => this.pick.click();
    this.pick.onchange = () => {
      this.addAll(this.pick.files);
      this.pick.value = "";
    };
    for (const name of ["dragenter", "dragover", "dragleave", "drop"])
      this.zone.addEventListener(name, (event) => {
        event.preventDefault();
        this.zone.classList.toggle("over", name === "dragenter" || name === "dragover");
      });
    this.zone.addEventListener("drop", (event) => this.addAll(event.dataTransfer.files));
  }

  show(data, send) {
    this.data = data;
    this.tell = send;
    this.button.textContent = data.labels.choose;
    for (const name of ["drop", "hint"]) this.zone.querySelector(`.${name}`).textContent = data.labels[name];
    const known = new Set(data.rows.map((row) => row.id));
    this.items = this.items.filter((item) => !known.has(item.id)); // Python has it: it stands among the rows
    this.draw();
    this.repeat();
  }

  addAll(files) {
    for (const file of files) {
      const item = { file, order: { filename: file.name, [this.data.held]: "1" }, bytes: 0 };
      this.items.push(item);
      this.start(item);
    }
    this.draw();
  }

  start(item) {
    Object.assign(item, { state: this.data.labels.queued, failed: false });
    this.queue = this.queue.then(() => this.send(item)).catch((error) => this.end(item, error.message));
  }

  // One list: what Python knows, then what is still on its way.
  draw() {
    const { labels, rows } = this.data;
    const drawn = rows.map((row) => this.row(row.name, row.facts, row.wrong, row.id ? [this.remover(row)] : []));
    for (const item of this.items) {
      const buttons = [this.remover(item)];
      if (item.failed) {
        const again = element("button", "again", labels.again);
        again.onclick = () => {
          this.start(item);
          this.draw();
        };
        buttons.unshift(again);
      }
      item.row = this.row(item.file.name, item.state, item.failed, buttons);
      drawn.push(item.row);
    }
    this.list.replaceChildren(...drawn);
    this.total();
  }

  row(name, facts, wrong, buttons) {
    const row = element("li", buttons.length ? "file" : "file inner");
    row.append(element("div", "name", name), ...buttons, element("div", wrong ? "state wrong" : "state", facts));
    return row;
  }

  remover(one) {
    const button = element("button", "remove", "×");
    button.setAttribute("aria-label", this.data.labels.remove.replace("{name}", one.name || one.file.name));
    button.onclick = () => (one.file ? this.halt(one) : this.tell("removed", `${one.id} ${Date.now()}`));
    return button;
  }

  say(item, text) {
    item.state = text;
    if (item.row) item.row.querySelector(".state").textContent = text;
    this.total();
  }

  // One bar for all that is on its way.
  total() {
    const all = this.items.filter((item) => !item.failed);
    const sent = all.filter((item) => item.id);
    this.all.hidden = all.length === sent.length;
    const size = all.reduce((sum, item) => sum + item.file.size, 0) || 1;
    const bytes = all.reduce((sum, item) => sum + (item.id ? item.file.size : item.bytes), 0);
    Object.assign(this.all.querySelector(".bar"), { max: size, value: bytes });
    const { language, labels } = this.data;
    const percent = new Intl.NumberFormat(language, { style: "percent" }).format(Math.min(1, bytes / size));
    const counts = [sent.length, all.length].map((n) => new Intl.NumberFormat(language).format(n));
    const text = labels.all.replace("{n}", counts[0]).replace("{all}", counts[1]).replace("{percent}", percent);
    const state = this.all.querySelector(".state");
    if (state.textContent !== text) state.textContent = text;
  }

  halt(item) {
    item.stopped = true;
    item.request?.abort();
    if (item.place) this.ask("DELETE", item.place).catch(() => {});
    localStorage.removeItem(this.memory(item));
    this.items = this.items.filter((other) => other !== item);
    this.draw();
    this.report();
  }

  end(item, text) {
    if (item.stopped) return;
    Object.assign(item, { failed: true, state: text });
    this.draw();
    this.report();
  }

  // Python is notified when all have arrived, so that it looks at them once.
  report() {
    const sent = this.items.filter((item) => item.id);
    if (!sent.length || !this.items.every((item) => item.id || item.failed)) return;
    for (const item of sent) item.reports = (item.reports || 0) + 1;
    this.tell("sent", JSON.stringify(sent.map((item) => item.id)));
  }

  // A report is lost where another click replaces the script run that carries it before that run begins.
  repeat() {
    if (this.items.some((item) => item.id && item.reports < MOST_REPORTS)) this.report();
  }

  memory(item) {
    return `upload ${item.file.name} ${item.file.size} ${item.file.lastModified}`;
  }

  async send(item) {
    if (item.stopped) return;
    if (item.file.size > this.data.most) throw new Refused(this.data.labels.large);
    item.place = localStorage.getItem(this.memory(item));
    for (let failures = 0; !item.stopped; ) {
      try {
        if (!item.place) await this.create(item);
        if (!(await this.goOn(item))) continue;
        item.id = item.place.split("/").pop();
        this.say(item, this.data.labels.done);
        this.report();
        return;
      } catch (error) {
        if (item.stopped) return;
        if (error instanceof Refused) {
          localStorage.removeItem(this.memory(item));
          throw error;
        }
        this.say(item, this.data.labels.waiting);
        await sleep(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]);
      }
    }
  }

  async create(item) {
    const facts = Object.entries(item.order).map(([name, value]) => `${name} ${base64(value)}`);
    const answer = await this.ask("POST", this.data.address, {
      "Upload-Length": String(item.file.size),
      "Upload-Metadata": facts.join(","),
    });
    item.place = new URL(answer.getResponseHeader("Location"), location.href).pathname;
    localStorage.setItem(this.memory(item), item.place);
  }

  // Sends all that is missing; whether all has arrived.
  async goOn(item) {
    const answer = await this.ask("HEAD", item.place, {}, null, item);
    if (answer.status === 404 || answer.status === 410 || answer.getResponseHeader(TASK)) {
      item.place = null;
      return false;
    }
    let at = Number(answer.getResponseHeader("Upload-Offset"));
    while (at < item.file.size && !item.stopped) {
      const piece = item.file.slice(at, at + PIECE_BYTES);
      const headers = { "Upload-Offset": String(at), "Content-Type": "application/offset+octet-stream" };
      const moved = (sent) => this.progress(item, at + sent);
      at = Number((await this.ask("PATCH", item.place, headers, piece, item, moved)).getResponseHeader("Upload-Offset"));
      this.progress(item, at);
    }
    return !item.stopped;
  }

  progress(item, bytes) {
    const percent = new Intl.NumberFormat(this.data.language, { style: "percent" });
    item.bytes = bytes;
    this.say(item, percent.format(Math.min(1, bytes / item.file.size)));
  }

  // XMLHttpRequest, because fetch tells nothing of how far a body is sent.
  ask(method, address, headers = {}, body = null, item = {}, sent = () => {}) {
    return new Promise((done, failed) => {
      const request = (item.request = new XMLHttpRequest());
      request.open(method, address);
      const all = { "Tus-Resumable": "1.0.0", "X-Upload-Ticket": this.data.ticket, ...headers };
      all["Accept-Language"] = this.data.language;
      for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => sent(event.loaded);
      request.onerror = request.onabort = request.ontimeout = () => failed(new Error("connection"));
      request.onload = () => {
        const { status } = request;
        if (status < 300 || (method === "HEAD" && (status === 404 || status === 410))) done(request);
        else if (passes(method, status)) failed(new Error(String(status)));
        else failed(new Refused(this.reason(request)));
      };
      request.send(body);
    });
  }

  reason(request) {
    try {
      return JSON.parse(request.responseText).detail || this.data.labels.refused;
    } catch {
      return this.data.labels.refused;
    }
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  if (!senders.has(parentElement)) senders.set(parentElement, new Sender(parentElement));
  senders.get(parentElement).show(data, setTriggerValue);
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
}
