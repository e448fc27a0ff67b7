// Sound with its words. Follows playback without asking Python; all text is set by textContent.
const players = new WeakMap();
const STEP_S = 5;
const FAR_S = 10;
const RATES = [1, 1.25, 1.5, 2, 0.75];
const [SLOWEST, FASTEST, RATE_STEP] = [0.5, 3, 0.25];
const SILENCE_S = 1.2;
const PREFIX_MS = 1500;
const SAVED_EVERY_S = 5;
const AT_KEPT = "stenogram at ";
const SKIP_KEPT = "stenogram skip";
const FOLLOW_KEPT = "stenogram follow";
const RATE_KEPT = "stenogram rate";
const ANSWER_MS = 8000; // a change that was not answered by then is waited for no longer

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
    this.bar = find("bar");
    this.media = find("media");
    this.button = find("play");
    this.seekbar = find("seek");
    this.time = find("time");
    this.rate = find("rate");
    this.note = find("note");
    this.text = find("text");
    this.tools = find("tools");
    this.people = new People(this, root);
    this.paragraphs = new Paragraphs(this, this.text);
    this.editor = new Editor(this);
    this.doubts = new Doubts(this, find("doubts"));
    this.finder = new Finder(this, find("finder"));
    this.wave = new Wave(this, find("wave"));
    this.words = [];
    this.now = -1;
    this.skip = localStorage.getItem(SKIP_KEPT) === "1";
    this.following = localStorage.getItem(FOLLOW_KEPT) !== "0";
    this.media.preservesPitch = true;
    this.handsOff = 0;
    this.outbox = [];
    this.sent = null;
    this.button.onclick = () => this.toggle();
    this.rate.onclick = () => this.nextRate();
    this.seekbar.oninput = () => this.seek(Number(this.seekbar.value));
    this.media.onplay = this.media.onpause = () => this.showState();
    this.media.ontimeupdate = this.media.onseeked = () => this.follow();
    this.media.onloadedmetadata = () => this.begin();
    this.media.onerror = () => this.showError();
    this.text.onclick = (event) => this.clicked(event);
    this.text.ondblclick = (event) => this.editWord(event.target);
    this.text.onkeydown = (event) => this.walk(event);
    this.setRate(Number(localStorage.getItem(RATE_KEPT)) || 1);
    this.onkey = (event) => this.key(event);
    this.onscroll = () => (this.handsOff = Date.now() + 4000);
    document.addEventListener("keydown", this.onkey);
    document.addEventListener("wheel", this.onscroll, { passive: true });
    document.addEventListener("touchmove", this.onscroll, { passive: true });
  }

  // Changes go one by one: one that came while another is being made would be lost.
  post(edit, trigger) {
    this.trigger = trigger;
    this.outbox.push({ ...edit, id: `${Date.now()}-${Math.random()}` });
    this.deliver();
  }

  deliver() {
    if (this.sent || !this.outbox.length) return;
    const edit = this.outbox.shift();
    this.sent = edit.id;
    this.trigger(edit);
    setTimeout(() => this.answered(edit.id), ANSWER_MS);
  }

  answered(id) {
    if (this.sent !== id) return;
    this.sent = null;
    this.deliver();
  }

  get busy() {
    return this.sent || this.outbox.length;
  }

  show(data, send) {
    if (this.sent) this.answered(data.answered);
    this.labels = data.labels;
    this.change = data.change;
    this.send = send;
    this.people.show(data, send);
    this.showTools(data);
    if (this.recording !== data.recording || this.silent !== !data.src) {
      this.recording = data.recording;
      this.silent = !data.src;
      this.start = data.start;
      this.bar.hidden = !data.src;
      if (data.src) this.media.src = data.src;
      this.media.className = "media";
      this.seekbar.max = data.duration || 0;
      this.total = data.duration || 0;
    } else if (this.start !== data.start) {
      this.start = data.start;
      this.begin();
    }
    if (data.duration) this.seekbar.max = this.total = data.duration; // measured since: better than what headers say
    const version = JSON.stringify([data.recording, data.version]);
    if (this.version !== version) {
      this.version = version;
      this.write(data.paragraphs);
    }
    this.tools.hidden = !(this.words.length || data.undo || data.redo);
    this.wave.show(data.peaks);
    this.button.setAttribute("aria-label", data.labels.play);
    this.seekbar.setAttribute("aria-label", data.labels.seek);
    this.rate.setAttribute("aria-label", data.labels.rate);
    this.rate.title = data.labels.rate;
    this.button.title = data.labels.keys;
    this.showState();
    this.follow();
  }

  // Corrections that arrive while somebody types wait until that is done.
  write(paragraphs) {
    if (this.editor.p >= 0) {
      this.waiting = paragraphs;
      return;
    }
    this.waiting = null;
    this.now = -1;
    this.current = null;
    this.paragraphs.write(paragraphs);
    this.words = this.paragraphs.words;
    this.doubts.show();
    if (!this.finder.root.hidden) this.finder.look();
    this.wave.draw();
  }

  edited() {
    if (this.waiting) this.write(this.waiting);
  }

  speaker(name, label, start, end, body) {
    if (!this.change || !label.startsWith("speaker_")) return element("b", "speaker", name);
    const made = element("button", "speaker", name);
    made.type = "button";
    made.setAttribute("aria-haspopup", "dialog");
    made.onpointerdown = (event) => event.preventDefault(); // keeps what is marked
    made.onclick = (event) => {
      event.stopPropagation();
      this.people.move(label, start, end, this.marked(body));
    };
    return made;
  }

  // First and last second of the words of a paragraph that are marked, if any are.
  marked(body) {
    const root = this.text.getRootNode();
    const selection = root.getSelection?.() ?? document.getSelection();
    const [range] = selection.getComposedRanges?.({ shadowRoots: [root] }) ?? [];
    if (selection.isCollapsed && !range) return null;
    const inside = [...body.querySelectorAll(".word")].filter((word) =>
        range ? spans(range, word) : selection.containsNode(word, true)
    );
    if (!inside.length) return null;
    const [first, last] = [inside[0], inside.at(-1)].map((word) => this.paragraphs.word(word));
    return [first.from, last.until];
  }

  // A stretch of sound, and silence after it.
  sample(from, until) {
    this.until = until;
    this.seek(from, true);
    this.media.play().catch(() => {});
  }

  begin() {
    if (!this.total && Number.isFinite(this.media.duration)) this.total = this.media.duration;
    this.seekbar.max = this.total;
    this.media.classList.toggle("video", this.media.videoWidth > 0);
    this.note.textContent = "";
    const kept = Number(localStorage.getItem(AT_KEPT + this.recording)) || 0;
    if (this.start === null && kept > SAVED_EVERY_S && kept < this.total - FAR_S) this.media.currentTime = kept;
    if (this.start !== null) { // the very beginning, too, is a place that somebody chose
      this.media.currentTime = this.start;
      if (navigator.userActivation?.hasBeenActive) this.media.play().catch(() => {});
    }
    this.follow(true);
  }

  follow(always = false) {
    const at = this.media.readyState ? this.media.currentTime : this.start || 0;
    this.seekbar.value = at;
    this.seekbar.style.setProperty("--done", `${this.total ? (100 * at) / this.total : 0}%`);
    this.time.textContent = `${clock(at)} / ${clock(Math.round(this.total))}`;
    if (this.until && at >= this.until) {
      this.until = 0;
      this.media.pause();
    }
    const now = this.find(at);
    this.pass(at, now);
    if (Math.abs(at - (this.kept ?? 0)) > SAVED_EVERY_S && this.media.readyState) {
      localStorage.setItem(AT_KEPT + this.recording, (this.kept = at).toFixed(1));
      this.wave.draw();
    }
    if (now === this.now && !always) return;
    if (this.current) this.shown(this.current)?.classList.remove("now");
    this.now = now;
    this.current = null;
    const current = this.words[now];
    if (!current || (at === 0 && this.media.paused)) return;
    this.current = this.cursor = current;
    const moves = this.following && !this.media.paused && Date.now() > this.handsOff && this.editor.p < 0;
    if (always || moves) this.reveal(this.paragraphs.element(current));
    this.shown(current)?.classList.add("now");
  }

  // A word as it stands there, if its paragraph is near.
  shown({ p, i }) {
    return this.paragraphs.all[p]?.full ? this.paragraphs.element({ p, i }) : null;
  }

  // Silence after a word is passed over, if that is wanted.
  pass(at, now) {
    const next = this.words[now + 1];
    if (!this.skip || this.media.paused || this.until || !next || next.from - at < SILENCE_S) return;
    if (at > (this.words[now]?.until ?? 0) + 0.3) this.media.currentTime = next.from - 0.15;
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

  // None while a corrected line waits to be written anew.
  reveal(word) {
    if (!word) return;
    const box = word.getBoundingClientRect();
    if (box.top < 180 || box.bottom > window.innerHeight - 80)
      word.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  clicked(event) {
    const place = event.target.closest("[data-s]");
    if (place?.classList.contains("word")) this.cursor = this.paragraphs.word(place);
    this.doubts.at = undefined;
    if (!place || String(window.getSelection())) return;
    if (event.detail) place.blur(); // clicked: keys go to the player; from a word reached by keys they walk on
    this.seek(Number(place.dataset.s));
    this.media.play().catch(() => {});
  }

  seek(s, sampled = false) {
    this.handsOff = 0;
    if (!sampled) this.until = 0;
    this.media.currentTime = Math.min(Math.max(0, s), this.total || s);
    this.follow();
  }

  toggle() {
    if (this.media.paused) this.media.play().catch(() => {});
    else this.media.pause();
  }

  nextRate() {
    this.keepRate(RATES[(RATES.indexOf(this.media.playbackRate) + 1) % RATES.length]);
  }

  keepRate(rate) {
    localStorage.setItem(RATE_KEPT, rate);
    this.setRate(rate);
  }

  faster(step) {
    this.keepRate(Math.min(FASTEST, Math.max(SLOWEST, this.media.playbackRate + step * RATE_STEP)));
  }

  editWord(target) {
    const shown = target.closest?.(".word");
    if (!shown) return;
    document.getSelection()?.removeAllRanges();
    const { p, i } = this.paragraphs.word(shown);
    this.editor.start(p, i);
  }

  editHere() {
    const word = this.cursor ?? this.words[0];
    if (word && this.paragraphs.all[word.p]) this.editor.start(word.p, word.i);
  }

  // Somebody else's step is named: it is undone only where the button says whose it is.
  undo() {
    this.send({ what: "undo", of: this.labels.undo_of });
  }

  // Another engine listens to the utterance of the chosen word.
  listenAgain() {
    const word = this.cursor ?? this.words[Math.max(0, this.now)];
    if (!this.change || this.silent || !word) return;
    const { pieces } = this.paragraphs.all[word.p].data;
    this.media.pause();
    this.send({ what: "again", n: pieces[0][0], versions: pieces.map(([, version]) => version), at: word.from });
  }

  showTools(data) {
    const { labels, change, undo, redo, src } = data;
    const version = JSON.stringify([labels, change, undo, redo, !src, this.skip, this.following]);
    if (this.toolsVersion === version) return;
    this.toolsVersion = version;
    const act = (name, text, title, step, on) => {
      const made = element("button", name, text);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      if (on !== undefined) made.setAttribute("aria-pressed", on);
      made.onclick = step;
      return made;
    };
    const toggle = (name, key) => () => {
      this[name] = !this[name];
      localStorage.setItem(key, this[name] ? "1" : "0");
      this.showTools(data);
    };
    const changing = [
      act("undo", "↶", labels.undo, () => this.undo()),
      act("redo", "↷", labels.redo, () => this.send({ what: "redo" })),
      act("edit", labels.edit, `${labels.edit} (E)`, () => this.editHere()),
    ];
    if (src) changing.push(act("again", labels.again, `${labels.again_help} (R)`, () => this.listenAgain()));
    changing[0].disabled = !undo;
    changing[1].disabled = !redo;
    const active = this.tools.getRootNode().activeElement;
    const focused = this.tools.contains(active) ? active.className : "";
    this.turns = { skip: toggle("skip", SKIP_KEPT), follow: toggle("following", FOLLOW_KEPT) };
    this.tools.replaceChildren(
      ...(change ? changing : []),
      act("search", labels.find, `${labels.find} (Ctrl-F)`, () => this.finder.open()),
      act("skip", labels.skip, `${labels.skip} (S)`, this.turns.skip, this.skip),
      act("follow", labels.follow, `${labels.follow} (F)`, this.turns.follow, this.following),
      act("copy", labels.copy, labels.copy, () => this.copy(false)),
      act("copy-times", labels.copy_times, labels.copy_times, () => this.copy(true)),
      act("print", labels.print, labels.print, () => window.print())
    );
    if (focused) this.tools.querySelector(`.${focused}:enabled`)?.focus();
  }

  async copy(times) {
    await navigator.clipboard.writeText(this.paragraphs.plain(times));
    this.note.textContent = this.labels.copied;
    this.note.classList.add("well");
  }

  // The default too: a new source begins at that.
  setRate(rate) {
    const known = rate >= SLOWEST && rate <= FASTEST;
    this.media.defaultPlaybackRate = this.media.playbackRate = known ? rate : 1;
    this.rate.textContent = `${this.media.playbackRate}×`;
  }

  walk(event) {
    const word = event.target;
    if (!word.classList.contains("word")) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.clicked(event);
    else if (step) {
      const next = this.paragraphs.neighbour(word, step);
      if (next) this.cursor = this.paragraphs.word(next);
      next?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  key(event) {
    const from = event.composedPath()[0];
    const ours = from === this.seekbar || from === this.button;
    const typing = from.closest?.("input, textarea, select, [contenteditable], [role=dialog]");
    if (event.defaultPrevented || event.altKey || (typing && !ours)) return;
    const prefixed = Date.now() < (this.prefix ?? 0);
    this.prefix = event.code === "KeyG" ? Date.now() + PREFIX_MS : 0; // "g" and a letter lead to another page
    const step = event.ctrlKey || event.metaKey ? this.command(event) : this.step(event, from, ours, prefixed);
    if (!step) return;
    step();
    event.preventDefault();
  }

  command({ code, shiftKey }) {
    const undo = () => this.change && this.undo();
    const redo = () => this.change && this.send({ what: "redo" });
    if (code === "KeyF" && this.finder.root.hidden) return () => this.finder.open();
    if (code === "KeyZ") return shiftKey ? redo : undo;
    return code === "KeyY" ? redo : null;
  }

  step({ code, key, shiftKey }, from, ours, prefixed) {
    const now = this.media.currentTime;
    const moves = {
      Space: () => this.toggle(),
      ArrowLeft: () => this.seek(now - STEP_S),
      ArrowRight: () => this.seek(now + STEP_S),
    };
    const letters = {
      KeyJ: () => this.seek(now - FAR_S),
      KeyK: () => this.toggle(),
      KeyL: () => this.seek(now + FAR_S),
      BracketLeft: () => this.faster(-1),
      BracketRight: () => this.faster(1),
      KeyS: () => this.turns.skip(),
      KeyF: () => this.turns.follow(),
      KeyE: () => this.editHere(),
      KeyR: () => this.listenAgain(),
      KeyW: () => this.people.start(),
      KeyN: () => this.doubts.go(shiftKey ? -1 : 1),
    };
    if (from.closest?.("button, a") && !ours) return letters[code] && !prefixed ? letters[code] : null;
    return moves[code] ?? (prefixed || (shiftKey && code !== "KeyN") ? null : letters[code]) ?? null;
  }

  showState() {
    this.button.classList.toggle("playing", !this.media.paused);
  }

  showError() {
    this.note.classList.remove("well");
    this.note.textContent = this.labels.broken;
  }

  close() {
    this.media.pause();
    this.wave.observer.disconnect();
    this.paragraphs.observer.disconnect();
    document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("wheel", this.onscroll);
    document.removeEventListener("touchmove", this.onscroll);
  }
}

const spans = ({ startContainer, startOffset, endContainer, endOffset, collapsed }, word) => {
  if (collapsed) return false;
  const range = document.createRange();
  range.setStart(startContainer, startOffset);
  range.setEnd(endContainer, endOffset);
  return range.intersectsNode(word);
};

export default function ({ parentElement, data, setTriggerValue }) {
  if (!players.has(parentElement)) players.set(parentElement, new Player(parentElement));
  const player = players.get(parentElement);
  player.show(data, (edit) => player.post(edit, (one) => setTriggerValue("edit", one)));
  (parentElement.host || parentElement).setAttribute("data-drawn", "");
  return () => {
    player.close();
    players.delete(parentElement);
  };
}
