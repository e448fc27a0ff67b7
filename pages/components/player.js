// Sound with its words. Follows playback without asking Python; all text is set by textContent.
const players = new WeakMap();
const STEP_S = 5;
const RATES = [1, 1.25, 1.5, 2, 0.75];

const clock = (s) => {
  s = Math.max(0, Math.floor(s || 0));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
};

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

class Player {
  constructor(root) {
    const find = (name) => root.querySelector(`.${name}`);
    this.media = find("media");
    this.button = find("play");
    this.seekbar = find("seek");
    this.time = find("time");
    this.rate = find("rate");
    this.note = find("note");
    this.text = find("text");
    this.words = [];
    this.now = -1;
    this.handsOff = 0;
    this.button.onclick = () => this.toggle();
    this.rate.onclick = () => this.nextRate();
    this.seekbar.oninput = () => this.seek(Number(this.seekbar.value));
    this.media.onplay = this.media.onpause = () => this.showState();
    this.media.ontimeupdate = this.media.onseeked = () => this.follow();
    this.media.onloadedmetadata = () => this.begin();
    this.media.onerror = () => this.showError();
    this.text.onclick = (event) => this.clicked(event);
    this.onkey = (event) => this.key(event);
    this.onscroll = () => (this.handsOff = Date.now() + 4000);
    document.addEventListener("keydown", this.onkey);
    document.addEventListener("wheel", this.onscroll, { passive: true });
    document.addEventListener("touchmove", this.onscroll, { passive: true });
  }

  show(data) {
    this.labels = data.labels;
    if (this.recording !== data.recording) {
      this.recording = data.recording;
      this.start = data.start;
      this.media.src = data.src;
      this.media.className = "media";
      this.seekbar.max = data.duration || 0;
      this.total = data.duration || 0;
    } else if (this.start !== data.start) {
      this.start = data.start;
      this.begin();
    }
    const version = JSON.stringify([data.recording, data.version]);
    if (this.version !== version) {
      this.version = version;
      this.write(data.paragraphs);
    }
    this.button.setAttribute("aria-label", data.labels.play);
    this.seekbar.setAttribute("aria-label", data.labels.seek);
    this.rate.setAttribute("aria-label", data.labels.rate);
    this.rate.title = data.labels.rate;
    this.button.title = data.labels.keys;
    this.showState();
    this.follow();
  }

  write(paragraphs) {
    this.words = [];
    this.now = -1;
    this.text.replaceChildren(...paragraphs.map((paragraph) => this.paragraph(paragraph)));
    this.words.sort((one, other) => one.from - other.from); // two speakers may talk at once
  }

  paragraph({ start, speaker, words }) {
    const made = element("p");
    const head = element("button", "at", clock(start));
    head.type = "button";
    head.dataset.s = start;
    const body = element("span", "said");
    if (speaker) body.append(element("b", "speaker", speaker), " ");
    for (const [text, from, until] of words) {
      const word = element("span", "word", text);
      word.dataset.s = from;
      this.words.push({ from, until, word });
      body.append(word, " ");
    }
    made.append(head, body);
    return made;
  }

  begin() {
    if (Number.isFinite(this.media.duration)) this.total = this.media.duration;
    this.seekbar.max = this.total;
    this.media.classList.toggle("video", this.media.videoWidth > 0);
    this.note.textContent = "";
    if (this.start > 0) {
      this.media.currentTime = this.start;
      if (navigator.userActivation?.hasBeenActive) this.media.play().catch(() => {});
    }
    this.follow(true);
  }

  follow(always = false) {
    const at = this.media.readyState ? this.media.currentTime : this.start || 0;
    this.seekbar.value = at;
    this.seekbar.style.setProperty("--done", `${this.total ? (100 * at) / this.total : 0}%`);
    this.time.textContent = `${clock(at)} / ${clock(this.total)}`;
    const now = this.find(at);
    if (now === this.now && !always) return;
    this.words[this.now]?.word.classList.remove("now");
    this.now = now;
    const current = this.words[now];
    if (!current || (at === 0 && this.media.paused)) return;
    current.word.classList.add("now");
    if (always || (!this.media.paused && Date.now() > this.handsOff)) this.reveal(current.word);
  }

  find(at) {
    let [low, high] = [0, this.words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.words[middle].from <= at + 0.02) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  reveal(word) {
    const box = word.getBoundingClientRect();
    if (box.top < 180 || box.bottom > window.innerHeight - 80)
      word.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  clicked(event) {
    const place = event.target.closest("[data-s]");
    if (!place || String(window.getSelection())) return;
    this.seek(Number(place.dataset.s));
    this.media.play().catch(() => {});
  }

  seek(s) {
    this.handsOff = 0;
    this.media.currentTime = Math.min(Math.max(0, s), this.total || s);
    this.follow();
  }

  toggle() {
    if (this.media.paused) this.media.play().catch(() => {});
    else this.media.pause();
  }

  nextRate() {
    const next = RATES[(RATES.indexOf(this.media.playbackRate) + 1) % RATES.length];
    this.media.playbackRate = next;
    this.rate.textContent = `${next}×`;
  }

  key(event) {
    const from = event.composedPath()[0];
    const ours = from === this.seekbar || from === this.button;
    const busy = from.closest?.("input, textarea, select, button, a, [contenteditable], [role=dialog]");
    if ((busy && !ours) || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowLeft") this.seek(this.media.currentTime - STEP_S);
    else if (event.key === "ArrowRight") this.seek(this.media.currentTime + STEP_S);
    else return;
    event.preventDefault();
  }

  showState() {
    this.button.classList.toggle("playing", !this.media.paused);
  }

  showError() {
    this.note.textContent = this.labels.broken;
  }

  close() {
    this.media.pause();
    document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("wheel", this.onscroll);
    document.removeEventListener("touchmove", this.onscroll);
  }
}

export default function ({ parentElement, data }) {
  if (!players.has(parentElement)) players.set(parentElement, new Player(parentElement));
  const player = players.get(parentElement);
  player.show(data);
  return () => {
    player.close();
    players.delete(parentElement);
  };
}
