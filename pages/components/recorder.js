// Records the microphone and sends it by tus 1.0 as it comes, a piece every two seconds. The upload begins
// without a length, which the last piece says. Where the tab dies, the browser remembers the upload's place.
const recorders = new WeakMap();
const SLICE_MS = 2000;
const PAUSES_MS = [1000, 2000, 5000, 10000];
const MEMORY = "stenogram recording";
const KINDS = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const SILENCE = 0.005;
const SILENT_MS = 8000;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

class Refused extends Error {}

class Recorder {
  constructor(root) {
    for (const name of ["name", "start", "pause", "end", "time", "level", "state", "left", "take", "drop"])
      this[name] = root.querySelector(`.${name}`);
    this.naming = root.querySelector(".naming span");
    this.start.onclick = () => this.begin();
    this.pause.onclick = () => this.turn();
    this.end.onclick = () => this.finish();
    this.take.onclick = () => this.recover(true);
    this.drop.onclick = () => this.recover(false);
    window.addEventListener("beforeunload", (event) => this.media && event.preventDefault());
  }

  show(data, tell) {
    const first = !this.data;
    this.data = data;
    this.tell = tell;
    const { labels } = data;
    for (const name of ["start", "end", "take", "drop"]) this[name].textContent = labels[name];
    this.pause.textContent = this.media?.state === "paused" ? labels.resume : labels.pause;
    this.naming.textContent = labels.name;
    this.level.setAttribute("aria-label", labels.level);
    const when = new Intl.DateTimeFormat(data.language, { dateStyle: "medium", timeStyle: "short" });
    this.usual = labels.usual.replace("{when}", when.format(new Date()));
    this.name.placeholder = this.usual;
    if (!first) return;
    this.say(navigator.mediaDevices ? labels.ready : labels.insecure);
    this.start.disabled = !navigator.mediaDevices;
    this.lookBack();
  }

  say(text) {
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  async begin() {
    const { labels } = this.data;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      this.say(error.name === "NotFoundError" ? labels.missing : labels.refused);
      return;
    }
    const kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one));
    const ending = kind.includes("mp4") ? "m4a" : kind.includes("ogg") ? "ogg" : "webm";
    this.filename = `${this.name.value.trim() || this.usual}.${ending}`;
    Object.assign(this, { pieces: [], place: null, at: 0, length: null, failed: "", spent: 0 });
    this.media = new MediaRecorder(this.stream, { mimeType: kind, audioBitsPerSecond: 48000 });
    this.media.ondataavailable = (event) => event.data.size && this.pieces.push(event.data);
    this.media.onstop = () => (this.stopped = true);
    this.stopped = false;
    this.media.start(SLICE_MS);
    this.since = performance.now();
    this.listen();
    this.wake();
    this.draw(true);
    this.say(labels.recording);
    this.sending = this.send();
  }

  draw(running) {
    this.start.hidden = running;
    for (const name of ["pause", "end", "time", "level"]) this[name].hidden = !running;
    this.name.disabled = running;
    this.left.hidden = this.left.hidden || running;
  }

  turn() {
    const { labels } = this.data;
    if (this.media.state === "recording") {
      this.spent += performance.now() - this.since;
      this.media.pause();
      this.media.requestData();
      this.pause.textContent = labels.resume;
      this.say(labels.paused);
    } else {
      this.since = performance.now();
      this.media.resume();
      this.pause.textContent = labels.pause;
      this.say(labels.recording);
    }
  }

  async finish() {
    this.pause.hidden = this.end.hidden = true;
    this.say(this.data.labels.finishing);
    if (this.media.state !== "inactive") this.media.stop();
    await this.sending;
    for (const track of this.stream.getTracks()) track.stop();
    clearInterval(this.ticking);
    this.context?.close();
    this.lock?.release().catch(() => {});
    this.media = null;
    this.draw(false);
    this.pause.textContent = this.data.labels.pause;
    if (this.failed) return this.say(this.failed);
    localStorage.removeItem(MEMORY);
    this.name.value = "";
    this.done(this.place);
  }

  // Streamlit draws anew only for what it has not been told yet.
  done(place) {
    this.tell("recorded", JSON.stringify({ ids: [place.split("/").pop()], at: Date.now() }));
  }

  // How loud it is, and for how long nothing was heard.
  listen() {
    this.context = new AudioContext();
    const analyser = this.context.createAnalyser();
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let heard = performance.now();
    this.ticking = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const level = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
      const running = this.media?.state === "recording";
      this.level.value = running ? Math.min(1, level * 4) : 0;
      const now = performance.now();
      if (level > SILENCE || !running) heard = now;
      const seconds = Math.floor((this.spent + (running ? now - this.since : 0)) / 1000);
      this.time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      if (running && !this.behind) this.say(this.data.labels[now - heard > SILENT_MS ? "silent" : "recording"]);
    }, 200);
  }

  async wake() {
    try {
      this.lock = await navigator.wakeLock?.request("screen");
    } catch {
      this.lock = null; // the browser saves power: recording goes on
    }
  }

  // Sends pieces in their order until the recorder has stopped and all are there.
  async send() {
    for (let failures = 0; ; ) {
      const last = this.stopped && !this.pieces.length;
      if (!this.pieces.length && !last) {
        await sleep(100);
        continue;
      }
      try {
        if (!this.place) await this.create();
        await this.step(last);
        this.behind = false;
        failures = 0;
        if (last) return;
      } catch (error) {
        if (error instanceof Refused) {
          this.failed = error.message;
          this.say(error.message);
          if (this.media.state !== "inactive") this.media.stop();
          return;
        }
        this.behind = true;
        this.say(this.data.labels.behind);
        await sleep(PAUSES_MS[Math.min(failures++, PAUSES_MS.length - 1)]);
        await this.where().catch(() => {});
      }
    }
  }

  async step(last) {
    const piece = new Blob(this.pieces);
    const n = this.pieces.length;
    this.sent = [this.at, piece.size, n];
    const length = last ? { "Upload-Length": String(this.at) } : {};
    const answer = await this.ask("PATCH", this.place, {
      "Upload-Offset": String(this.at),
      "Content-Type": "application/offset+octet-stream",
      ...length,
    }, piece);
    this.at = Number(answer.headers.get("Upload-Offset"));
    this.pieces.splice(0, n);
  }

  // After trouble: the answer may have been lost where the piece was not.
  async where() {
    const answer = await this.ask("HEAD", this.place);
    const offset = Number(answer.headers.get("Upload-Offset"));
    const [before, size, n] = this.sent || [];
    if (offset === before + size) this.pieces.splice(0, n);
    else if (offset > before) {
      const rest = new Blob(this.pieces.splice(0, n)).slice(offset - before);
      this.pieces.unshift(rest);
    }
    this.at = offset;
  }

  async create() {
    const facts = { filename: this.filename, [this.data.held]: "1" };
    const answer = await this.ask("POST", this.data.address, {
      "Upload-Defer-Length": "1",
      "Upload-Metadata": Object.entries(facts).map(([name, value]) => `${name} ${base64(value)}`).join(","),
    });
    this.place = new URL(answer.headers.get("Location"), location.href).pathname;
    localStorage.setItem(MEMORY, JSON.stringify({ place: this.place, name: this.filename }));
  }

  async ask(method, address, headers = {}, body = null) {
    const known = { "Tus-Resumable": "1.0.0", "X-Upload-Ticket": this.data.ticket, "Accept-Language": this.data.language };
    const answer = await fetch(address, { method, headers: { ...known, ...headers }, body });
    if (answer.ok) return answer;
    const passes = (answer.status >= 500 && answer.status !== 507) || [409, 423, 429].includes(answer.status);
    if (passes && method !== "POST") throw new Error(String(answer.status));
    const told = await answer.json().catch(() => ({}));
    throw new Refused(told.detail || this.data.labels.failed);
  }

  // What a tab that died had recorded is still there: offered once, taken or discarded.
  async lookBack() {
    const known = JSON.parse(localStorage.getItem(MEMORY) || "null");
    if (!known) return;
    try {
      const answer = await this.ask("HEAD", known.place);
      if (!Number(answer.headers.get("Upload-Offset"))) throw new Refused("");
      this.old = { ...known, offset: answer.headers.get("Upload-Offset") };
      this.left.querySelector("span").textContent = this.data.labels.left.replace("{name}", known.name);
      this.left.hidden = false;
    } catch (error) {
      if (error instanceof Refused) localStorage.removeItem(MEMORY);
    }
  }

  async recover(take) {
    const { place, offset } = this.old;
    this.left.hidden = true;
    localStorage.removeItem(MEMORY);
    if (!take) return void this.ask("DELETE", place).catch(() => {});
    const headers = { "Upload-Offset": offset, "Upload-Length": offset };
    try {
      await this.ask("PATCH", place, { ...headers, "Content-Type": "application/offset+octet-stream" }, new Blob([]));
      this.done(place);
    } catch (error) {
      this.say(error instanceof Refused ? error.message : this.data.labels.behind);
    }
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  if (!recorders.has(parentElement)) recorders.set(parentElement, new Recorder(parentElement));
  recorders.get(parentElement).show(data, setTriggerValue);
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
}
