// The text beside the sound: paragraphs that get their words when they come near, corrections in place,
// doubtful places one after the other, and a search inside.
const [DOUBTFUL, EDITED] = [1, 2];
const EAGER = 3000; // so many words stand there at once; of longer texts only those near the screen
const NEAR = "1500px";
const BEFORE_S = 1;
const AFTER_S = 0.4;
const SEEN_KEPT = "stenogram seen ";

// Builds and rebuilds paragraphs. A word is {from, until, p, i, flags}: its times, its paragraph, its place there.
class Paragraphs {
  constructor(player, root) {
    this.player = player;
    this.root = root;
    this.all = [];
    this.marks = new Map(); // class of words, such as "hit" → paragraph → their places
    this.observer = new IntersectionObserver((seen) => seen.forEach((one) => this.turn(one)), { rootMargin: NEAR });
  }

  write(paragraphs) {
    const before = new Map(this.all.map((one) => [one.signature, one]));
    this.observer.disconnect();
    this.words = [];
    this.all = paragraphs.map((data, p) => {
      const signature = JSON.stringify(data);
      const kept = before.get(signature);
      before.delete(signature);
      data.words.forEach(([, from, until, flags = 0], i) => this.words.push({ from, until, p, i, flags }));
      const one = kept ?? { signature, data, made: this.shell(data), full: false };
      one.made.dataset.p = p;
      return one;
    });
    this.words.sort((one, other) => one.from - other.from); // two speakers may talk at once
    this.marks.clear();
    this.root.replaceChildren(...this.all.map((one) => one.made));
    const eager = this.words.length < EAGER;
    this.all.forEach((one, p) => (eager ? this.fill(p) : this.observer.observe(one.made)));
  }

  shell({ start, end, label, colour, speaker, overlapped, words, language, code, doubtful }) {
    const made = element("p", `colour-${colour}`);
    if (doubtful) {
      made.classList.add("doubtful");
      made.title = doubtful;
    }
    if (code) made.lang = code;
    const head = element("button", "at", clock(start));
    head.type = "button";
    head.dataset.s = start;
    const body = element("span", "said");
    if (language) body.append(element("span", "language", language), " ");
    if (speaker) body.append(this.player.speaker(speaker, label, start, end, body), " ");
    if (overlapped) {
      body.classList.add("overlapped");
      body.title = this.player.labels.together;
    }
    body.append(element("span", "words", words.map(([text]) => text).join(" ")));
    made.append(head, body);
    return made;
  }

  turn({ target, isIntersecting }) {
    const p = Number(target.dataset.p);
    if (isIntersecting) this.fill(p);
    else this.empty(p);
  }

  fill(p) {
    const one = this.all[p];
    if (one.full) return;
    one.full = true;
    const words = one.data.words.map(([text, from, , flags = 0], i) => {
      const word = element("span", "word", text);
      word.tabIndex = i ? -1 : 0; // Tab goes by paragraphs, arrows by words
      word.dataset.s = from;
      word.dataset.i = i;
      if (flags & DOUBTFUL) word.classList.add("unsure");
      if (flags & EDITED) word.classList.add("edited");
      return word;
    });
    for (const [name, places] of this.marks) for (const i of places.get(p) ?? []) words[i]?.classList.add(name);
    const current = this.player.current;
    if (current?.p === p) words[current.i]?.classList.add("now");
    one.made.querySelector(".words").replaceChildren(...words.flatMap((word) => [word, " "]));
  }

  empty(p) {
    const one = this.all[p];
    if (!one?.full || this.player.editor.p === p || one.made.contains(this.focused())) return;
    one.full = false;
    one.made.querySelector(".words").textContent = this.text(p);
  }

  focused() {
    return this.root.getRootNode().activeElement;
  }

  text(p) {
    return this.all[p].data.words.map(([text]) => text).join(" ");
  }

  element({ p, i }) {
    this.fill(p);
    return this.all[p].made.querySelectorAll(".word")[i];
  }

  // The word that an element of it is.
  word(shown) {
    const p = Number(shown.closest("[data-p]").dataset.p);
    const i = Number(shown.dataset.i ?? 0);
    return this.words.find((word) => word.p === p && word.i === i);
  }

  // Words, by paragraph, that are shown as `name`, and no others.
  mark(name, places) {
    const old = this.marks.get(name) ?? new Map();
    this.marks.set(name, places);
    for (const [p, some, on] of [...[...old].map((one) => [...one, false]), ...[...places].map((one) => [...one, true])])
      if (this.all[p]?.full) for (const i of some) this.element({ p, i })?.classList.toggle(name, on);
  }

  // A neighbour of a shown word, in the order in which they stand.
  neighbour(shown, step) {
    const { p, i } = this.word(shown);
    const there = this.all[p].data.words[i + step];
    if (there) return this.element({ p, i: i + step });
    const next = this.all[p + step];
    return next && next.data.words.length ? this.element({ p: p + step, i: step > 0 ? 0 : next.data.words.length - 1 }) : null;
  }

  plain(times) {
    const line = ({ data }, p) => {
      const who = data.speaker ? `${data.speaker}: ` : "";
      return (times ? `[${clock(data.start)}] ` : "") + who + this.text(p);
    };
    return this.all.map(line).join("\n\n");
  }
}

// One paragraph at a time as a field to type in. The sound is where the caret is.
class Editor {
  constructor(player) {
    this.player = player;
    this.p = -1;
  }

  start(p, i) {
    if (!this.player.change || this.p === p) return;
    this.save();
    const { paragraphs, labels } = this.player;
    this.p = p;
    const { made, data } = paragraphs.all[p];
    this.data = data;
    this.before = paragraphs.text(p);
    this.body = made.querySelector(".words");
    this.area = element("textarea", "typed");
    this.area.value = this.before;
    this.area.rows = Math.ceil(this.before.length / 80) + 1;
    this.area.setAttribute("aria-label", labels.text);
    this.area.title = labels.typing;
    this.area.onkeydown = (event) => this.key(event);
    this.area.onkeyup = this.area.onclick = () => this.follow();
    this.box = element("span", "editor");
    this.box.append(this.area, this.tools());
    this.box.onfocusout = (event) => this.box.contains(event.relatedTarget) || this.save();
    this.body.hidden = true;
    this.body.after(this.box);
    const at = data.words.slice(0, i).reduce((sum, [text]) => sum + text.length + 1, 0);
    this.area.focus();
    this.area.setSelectionRange(at, at);
    if (!this.player.media.paused) this.player.until = data.end;
    this.follow();
  }

  tools() {
    const { labels } = this.player;
    const row = element("span", "acts");
    const act = (name, step) => {
      const made = element("button", name, labels[name]);
      made.type = "button";
      made.onclick = step;
      row.append(made);
    };
    act("save", () => this.save());
    act("cancel", () => this.close());
    act("cut", () => this.cut());
    if (this.p > 0) {
      act("join", () => this.join());
      act("up", () => this.move(1));
    }
    if (this.p < this.player.paragraphs.all.length - 1) act("down", () => this.move(-1));
    return row;
  }

  // Number of the word at the caret.
  word() {
    return this.area.value.slice(0, this.area.selectionStart).split(/\s+/).slice(1).length;
  }

  follow() {
    const word = this.data.words[Math.min(this.word(), this.data.words.length - 1)];
    const { media } = this.player;
    if (word && media.paused && media.readyState) media.currentTime = word[1];
  }

  key(event) {
    event.stopPropagation();
    const command = event.ctrlKey || event.metaKey;
    const first = !this.area.selectionStart && !this.area.selectionEnd;
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && command) this.cut();
    else if (event.key === "Enter" && !event.shiftKey) this.save();
    else if (event.code === "Space" && command) this.player.toggle();
    else if (event.key === "Backspace" && first && this.p > 0) this.join();
    else if (event.key === "ArrowUp" && event.altKey && this.p > 0) this.move(1);
    else if (event.key === "ArrowDown" && event.altKey && this.p < this.player.paragraphs.all.length - 1) this.move(-1);
    else return;
    event.preventDefault();
  }

  // What is said of a paragraph: where it begins, and how its utterances read when it was opened.
  whole(text = this.area.value) {
    const [[n]] = this.data.pieces;
    return { n, versions: this.data.pieces.map(([, version]) => version), text, changed: text.trim() !== this.before };
  }

  save() {
    if (this.p < 0) return;
    const asked = { what: "text", ...this.whole() };
    this.close(asked.changed ? asked.text : undefined);
    if (asked.changed) this.player.send(asked);
  }

  cut() {
    this.ask({ what: "split", word: this.word() });
  }

  join() {
    this.ask({ what: "join", previous: this.beside(-1) });
  }

  // Words before the caret go up, words from the caret on go down.
  move(step) {
    const count = this.area.value.trim().split(/\s+/).length;
    const words = step > 0 ? this.word() : this.word() - count;
    if (words) this.ask({ what: "words", words, previous: this.beside(-1), next: this.beside(1) });
  }

  beside(step) {
    return this.player.paragraphs.all[this.p + step]?.data.pieces.map(([n, version]) => [n, version]) ?? [];
  }

  ask(asked) {
    const whole = this.whole();
    this.close(whole.changed ? whole.text : undefined);
    this.player.send({ ...whole, ...asked });
  }

  close(text) {
    if (this.p < 0) return;
    const { p, box, body, player } = this;
    this.p = -1;
    body.hidden = false;
    if (text !== undefined) {
      player.paragraphs.all[p].full = true; // stays as typed until it is answered
      player.paragraphs.all[p].signature = "";
      body.textContent = text;
    }
    box.onfocusout = null;
    box.remove();
    player.edited();
  }
}

// Runs of words that the engine was not sure of.
class Doubts {
  constructor(player, root) {
    this.player = player;
    this.root = root;
    this.places = [];
    this.bar = element("progress", "");
    this.left = element("span", "left");
    const button = (name, step) => {
      const made = element("button", name);
      made.type = "button";
      made.onclick = () => this.go(step);
      return made;
    };
    this.buttons = [button("previous", -1), button("next", 1)];
    root.replaceChildren(this.bar, this.left, ...this.buttons);
  }

  show() {
    const { paragraphs, labels, recording } = this.player;
    this.key = SEEN_KEPT + recording;
    this.seen = new Set(JSON.parse(localStorage.getItem(this.key) ?? "[]"));
    this.places = [];
    paragraphs.all.forEach(({ data }, p) => {
      let place = null;
      data.words.forEach(([, from, until, flags = 0], i) => {
        if (!(flags & DOUBTFUL)) place = null;
        else if (place) place.until = until;
        else this.places.push((place = { p, i, from, until }));
      });
    });
    this.places.sort((one, other) => one.from - other.from);
    const [previous, next] = this.buttons;
    previous.textContent = "‹";
    next.textContent = "›";
    previous.title = `${labels.doubt_before} (Shift-N)`;
    next.title = `${labels.doubt_next} (N)`;
    for (const one of this.buttons) one.setAttribute("aria-label", one.title);
    this.bar.setAttribute("aria-label", labels.doubts);
    this.count();
  }

  count() {
    const done = this.places.filter((place) => this.seen.has(this.name(place))).length;
    this.root.hidden = !this.places.length;
    this.bar.max = this.places.length || 1;
    this.bar.value = done;
    this.left.textContent = this.player.labels.doubts_left.replace("{n}", this.places.length - done);
  }

  name({ from }) {
    return Math.round(from * 10);
  }

  go(step) {
    const { player } = this;
    const at = this.at ?? player.media.currentTime - 0.001;
    const ahead = this.places.filter((place) => (step > 0 ? place.from > at : place.from < at));
    const place = (step > 0 ? ahead : ahead.reverse())[0] ?? this.places.at(step > 0 ? 0 : -1); // round and round
    if (!place) return;
    this.at = place.from;
    this.seen.add(this.name(place));
    localStorage.setItem(this.key, JSON.stringify([...this.seen]));
    this.count();
    player.cursor = place;
    player.sample(Math.max(0, place.from - BEFORE_S), place.until + AFTER_S);
    const shown = player.paragraphs.element(place);
    shown?.focus({ preventScroll: true });
    player.reveal(shown);
  }
}

class Finder {
  constructor(player, root) {
    this.player = player;
    this.root = root;
    this.hits = [];
    this.field = element("input", "");
    this.field.type = "search";
    this.field.oninput = () => this.look();
    this.field.onkeydown = (event) => this.key(event);
    this.count = element("output", "");
    root.replaceChildren(this.field, this.count);
  }

  open() {
    this.root.hidden = false;
    this.field.placeholder = this.player.labels.find;
    this.field.setAttribute("aria-label", this.player.labels.find);
    this.field.focus();
    this.field.select();
  }

  close() {
    this.root.hidden = true;
    this.hits = [];
    this.mark();
  }

  key(event) {
    event.stopPropagation();
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter") this.go(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
  }

  look() {
    const wanted = folded(this.field.value).trim();
    this.hits = [];
    this.now = -1;
    if (wanted)
      this.player.paragraphs.all.forEach(({ data }, p) => {
        const text = folded(data.words.map(([word]) => word).join(" "));
        for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
          const i = text.slice(0, at).split(" ").length - 1;
          const last = i + text.slice(at, at + wanted.length).split(" ").length - 1;
          this.hits.push({ p, i, last, from: data.words[i][1] });
        }
      });
    this.mark();
    if (this.hits.length) this.go(1, false);
  }

  mark() {
    const places = new Map();
    for (const { p, i, last } of this.hits)
      for (let n = i; n <= last; n++) places.set(p, [...(places.get(p) ?? []), n]);
    this.player.paragraphs.mark("hit", places);
    this.tell();
    this.player.wave.draw();
  }

  tell() {
    const number = this.hits.length ? `${this.now + 1} / ${this.hits.length}` : this.player.labels.nothing;
    this.count.textContent = this.field.value ? number : "";
  }

  go(step, heard = true) {
    if (!this.hits.length) return;
    this.now = (this.now + step + this.hits.length) % this.hits.length;
    const hit = this.hits[this.now];
    this.player.cursor = hit;
    if (heard || this.player.media.paused) this.player.seek(hit.from);
    this.player.reveal(this.player.paragraphs.element(hit));
    this.tell();
  }
}

const folded = (text) => text.toLowerCase().replaceAll("ё", "е");

// The sound at a glance: peaks, what is spoken, what was found, what is doubtful.
class Wave {
  constructor(player, canvas) {
    this.player = player;
    this.canvas = canvas;
    canvas.onclick = (event) => {
      const box = canvas.getBoundingClientRect();
      player.seek(((event.clientX - box.left) / box.width) * player.total);
    };
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas);
  }

  show(peaks) {
    if (this.packed === peaks) return;
    this.packed = peaks;
    this.peaks = peaks ? Uint8Array.from(atob(peaks), (letter) => letter.charCodeAt(0)) : null;
    this.canvas.hidden = !peaks;
    this.draw();
  }

  draw() {
    const { canvas, player } = this;
    const { width, height } = canvas.getBoundingClientRect();
    if (!this.peaks || !width || !player.total) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const x = (s) => (s / player.total) * width;
    const spoken = player.paragraphs.all;
    const speech = new Uint8Array(Math.ceil(width) + 1);
    for (const { data } of spoken) speech.fill(1, Math.floor(x(data.start)), Math.ceil(x(data.end)) + 1);
    const done = x(player.media.currentTime || 0);
    for (let at = 0; at < width; at += 3) {
      const [first, end] = [at, at + 3].map((one) => Math.floor((one / width) * this.peaks.length));
      const peak = Math.max(0, ...this.peaks.subarray(first, Math.max(end, first + 1)));
      const tall = Math.max(1, (peak / 255) * (height - 6));
      pen.fillStyle = colour(at < done ? "--st-primary-color" : speech[at] ? "--st-gray-text-color" : "--st-border-color");
      pen.fillRect(at, (height - 6 - tall) / 2, 2, tall);
    }
    const ticks = (places, name, tall) => {
      pen.fillStyle = colour(name);
      for (const { from } of places) pen.fillRect(x(from) - 1, height - tall, 2, tall);
    };
    ticks(player.doubts.places, "--st-orange-color", 4);
    ticks(player.finder.hits, "--st-primary-color", height);
  }
}
