// Sends files in pieces by tus 1.0 and goes on where it stopped: after a broken connection, and after the
// page was closed, when the same file is chosen again.
const senders = new WeakMap();
const PIECE_BYTES = 8 * 1024 * 1024;
const PAUSES_MS = [1000, 2000, 5000, 10000, 30000];
const TASK = "Stenogram-Task-Id";

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
    this.pick = root.querySelector(".pick");
    this.button = root.querySelector(".choose");
    this.queue = Promise.resolve();
    this.button.onclick = () => this.pick.click();
    this.pick.onchange = () => {
      const { title, ...rest } = this.data.order;
      const order = this.pick.files.length > 1 ? rest : this.data.order;
      for (const file of this.pick.files) this.add(file, order);
      this.pick.value = "";
    };
  }

  show(data, tell) {
    this.data = data;
    this.tell = tell;
    this.button.textContent = data.labels.choose;
  }

  add(file, order) {
    const { labels } = this.data;
    const item = { file, order: { ...order, filename: file.name }, stopped: false };
    const row = element("div", "file");
    item.bar = element("progress", "bar");
    item.bar.max = file.size || 1;
    item.bar.value = 0;
    item.stop = element("button", "stop", labels.stop);
    item.state = element("div", "state", labels.queued);
    item.stop.onclick = () => this.halt(item);
    row.append(element("div", "name", file.name), item.stop, item.bar, item.state);
    this.list.append(row);
    this.queue = this.queue.then(() => this.send(item)).catch((error) => this.end(item, error.message));
  }

  halt(item) {
    item.stopped = true;
    item.request?.abort();
    if (item.place) this.ask("DELETE", item.place).catch(() => {});
    localStorage.removeItem(this.memory(item));
    this.end(item, this.data.labels.stopped);
  }

  end(item, text) {
    item.stop.remove();
    item.state.textContent = item.stopped ? this.data.labels.stopped : text;
  }

  memory(item) {
    return `upload ${item.file.name} ${item.file.size} ${item.file.lastModified} ${JSON.stringify(item.order)}`;
  }

  async send(item) {
    if (item.stopped) return;
    if (item.file.size > this.data.most) throw new Refused(this.data.labels.large);
    item.place = localStorage.getItem(this.memory(item));
    let failures = 0;
    for (let task = null; !item.stopped; ) {
      try {
        task = item.place ? await this.goOn(item) : await this.create(item);
        failures = 0;
        if (!task) continue;
        localStorage.removeItem(this.memory(item));
        this.end(item, this.data.labels.done);
        this.tell(task);
        return;
      } catch (error) {
        if (item.stopped) return;
        if (error instanceof Refused) {
          localStorage.removeItem(this.memory(item));
          throw error;
        }
        item.state.textContent = this.data.labels.waiting;
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
    return null;
  }

  // Sends all that is missing; the task when the last piece has arrived.
  async goOn(item) {
    let answer = await this.ask("HEAD", item.place, {}, null, item);
    if (answer.status === 404 || answer.status === 410) {
      item.place = null;
      return null;
    }
    let at = Number(answer.getResponseHeader("Upload-Offset"));
    while (at < item.file.size && !item.stopped) {
      const piece = item.file.slice(at, at + PIECE_BYTES);
      const headers = { "Upload-Offset": String(at), "Content-Type": "application/offset+octet-stream" };
      answer = await this.ask("PATCH", item.place, headers, piece, item, (sent) => this.progress(item, at + sent));
      at = Number(answer.getResponseHeader("Upload-Offset"));
      this.progress(item, at);
    }
    return answer.getResponseHeader(TASK);
  }

  progress(item, bytes) {
    const percent = new Intl.NumberFormat(this.data.language, { style: "percent" });
    item.bar.value = bytes;
    item.state.textContent = percent.format(Math.min(1, bytes / item.file.size));
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
  senders.get(parentElement).show(data, (task) => setTriggerValue("sent", task));
}
