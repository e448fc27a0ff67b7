// What belongs to every page: the language that was chosen, keys, the menu's badge, and word that all is done.
const frames = new WeakMap();
const EVERY_MS = 5000;
const PREFIX_MS = 1500;
const YEAR_S = 31536000;
const TOUR = "stenogram tour";
const TOUR_BEGUN = "stenogram tour begun";
const TYPING = "input, textarea, select, [contenteditable=true], [role=combobox], [role=textbox]";

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Steps that lead from page to page, in a corner; which one is shown outlives the page.
class Tour {
  constructor(box, frame) {
    this.box = box;
    this.frame = frame;
    box.onkeydown = (event) => event.key === "Escape" && this.end();
  }

  use(data) {
    this.data = data;
    if (data.answered) this.answer();
    const begun = Number(sessionStorage.getItem(TOUR_BEGUN) || 0);
    if (data.begun > begun) {
      sessionStorage.setItem(TOUR_BEGUN, data.begun);
      this.begin();
    } else if (sessionStorage.getItem(TOUR) !== null) this.show();
  }

  begin() {
    this.answer();
    this.turn(0);
  }

  answer() {
    document.cookie = `${this.data.cookie}=1; path=/; max-age=${YEAR_S}; samesite=lax`;
  }

  turn(step) {
    sessionStorage.setItem(TOUR, step);
    this.show();
    this.box.querySelector(".next").focus();
    this.frame.go(this.data.steps[step][0]);
  }

  end() {
    sessionStorage.removeItem(TOUR);
    this.box.hidePopover();
  }

  show() {
    const { steps, labels } = this.data;
    const step = Math.min(Number(sessionStorage.getItem(TOUR)), steps.length - 1);
    const [, title, text] = steps[step];
    const last = step === steps.length - 1;
    const shown = JSON.stringify([step, labels]);
    if (shown !== this.shown) {
      const button = (name, label, act) => {
        const made = element("button", name, label);
        made.onclick = act;
        return made;
      };
      const place = labels.place.replace("{n}", step + 1).replace("{total}", steps.length);
      const buttons = element("div", "buttons");
      buttons.append(
        button("next", last ? labels.done : labels.next, () => (last ? this.end() : this.turn(step + 1))),
        ...(step ? [button("back", labels.back, () => this.turn(step - 1))] : []),
        ...(last ? [] : [button("close", labels.close, () => this.end())]),
      );
      this.box.setAttribute("aria-label", labels.tour);
      this.box.replaceChildren(element("p", "place", place), element("h2", "", title), element("p", "", text), buttons);
      this.shown = shown;
    }
    if (!this.box.matches(":popover-open")) this.box.showPopover();
  }
}

class Frame {
  constructor(root) {
    this.bell = root.querySelector(".bell");
    this.help = root.querySelector(".help");
    this.keys = root.querySelector(".keys");
    this.tour = new Tour(root.querySelector(".tour"), this);
    this.tag = "";
    this.peak = 0;
    this.onkey = (event) => this.key(event);
    this.bell.onclick = () => Notification.requestPermission().then(() => this.showBell());
    this.keys.onclick = (event) => event.target === this.keys && this.keys.close();
    this.help.onclick = () => this.showKeys();
    this.onleave = () => {
      const now = Math.round(Date.now() / 1000);
      document.cookie = `${this.data.seen}=${now}; path=/; max-age=${YEAR_S}; samesite=lax`;
    };
    document.addEventListener("keydown", this.onkey);
    window.addEventListener("pagehide", this.onleave);
    this.timer = setInterval(() => this.look(), EVERY_MS);
  }

  use(data) {
    this.data = data;
    document.documentElement.lang = data.language;
    if (data.chosen)
      document.cookie = `${data.cookie}=${data.chosen}; path=/; max-age=${YEAR_S}; samesite=lax`;
    this.bell.textContent = data.labels.bell;
    this.help.textContent = data.labels.keys;
    this.help.hidden = false;
    this.list();
    this.tour.use(data.tour);
    if (!this.looked) this.look();
  }

  list() {
    const close = element("button", "close", this.data.labels.close);
    close.onclick = () => this.keys.close();
    const rows = this.data.keys.map(([keys, what]) => {
      const row = element("tr");
      const cell = element("td");
      for (const key of keys.split(" ")) cell.append(element("kbd", "", key), " ");
      row.append(cell, element("td", "", what));
      return row;
    });
    const half = Math.ceil(rows.length / 2);
    const tables = element("div", "tables");
    for (const some of [rows.slice(0, half), rows.slice(half)]) {
      const table = element("table");
      table.append(...some);
      tables.append(table);
    }
    const again = element("button", "again", this.data.tour.labels.again);
    again.onclick = () => {
      this.keys.close();
      this.tour.begin();
    };
    this.keys.setAttribute("aria-label", this.data.labels.keys);
    this.keys.replaceChildren(element("h2", "", this.data.labels.keys), tables, close, again);
  }

  showKeys() {
    this.keys.showModal();
    this.keys.scrollTop = 0; // its button at the end has the focus
  }

  key(event) {
    const from = event.composedPath()[0];
    if (event.altKey || event.ctrlKey || event.metaKey || from.closest?.(TYPING) || this.keys.open) return;
    const pressed = event.code.startsWith("Key") ? event.code.slice(3).toLowerCase() : event.key;
    if (this.waits && Date.now() < this.waits) {
      this.waits = 0;
      const page = this.data.pages[pressed];
      if (page !== undefined) this.go(page);
      else return;
    } else if (pressed === "g") this.waits = Date.now() + PREFIX_MS;
    else if (event.key === "?" || (event.code === "Slash" && event.shiftKey)) this.showKeys();
    else if (event.key === "/" || event.code === "Slash") this.search(); // where "/" is on an English keyboard
    else return;
    event.preventDefault();
  }

  // A click on the menu changes the page without loading everything anew.
  go(page) {
    const links = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")];
    const link = links.find((each) => new URL(each.href).pathname === `/${page}`);
    if (link) link.click();
    else location.assign(`/${page}`);
  }

  search() {
    const box = document.querySelector(".st-key-q input");
    if (box) box.focus();
    else this.go("search");
  }

  async look() {
    this.looked = true;
    if (this.asking || (document.hidden && !this.mayTell())) return;
    this.asking = true;
    try {
      const headers = { "X-Ticket": this.data.ticket, "If-None-Match": this.tag };
      const answer = await fetch(`/api/live?language=${this.data.language}`, { headers, cache: "no-store" });
      if (answer.status === 401 && this.data.signed_in) location.reload(); // the session has ended
      if (answer.ok) {
        this.tag = answer.headers.get("ETag") || "";
        this.take((await answer.json()).tally);
      }
    } catch {
      // the tool is being restarted: it is asked again
    } finally {
      this.asking = false;
    }
  }

  take({ open, needs }) {
    this.open = open;
    const links = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")];
    const monitor = links.find((each) => new URL(each.href).pathname === "/monitor");
    if (monitor) {
      if (needs) monitor.dataset.badge = needs;
      else delete monitor.dataset.badge;
    }
    if (open > this.peak) {
      if (!this.peak) this.before = needs;
      this.peak = open;
    }
    if (!open && this.peak) {
      const failed = Math.max(0, needs - this.before);
      this.tell(this.peak, failed);
      this.peak = 0;
    }
    this.showBell();
  }

  tell(all, failed) {
    if (!this.mayTell()) return;
    const says = failed ? this.data.labels.partly : this.data.labels.done;
    const text = says.replace("{good}", all - Math.min(all, failed)).replaceAll("{all}", all).replace("{failed}", failed);
    const told = new Notification("Stenogram", { body: text, tag: "stenogram-done" });
    told.onclick = () => {
      window.focus();
      this.go(failed ? "monitor" : "library");
    };
  }

  mayTell() {
    return "Notification" in window && Notification.permission === "granted";
  }

  showBell() {
    this.bell.hidden = !(this.open && "Notification" in window && Notification.permission === "default");
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("keydown", this.onkey);
    window.removeEventListener("pagehide", this.onleave);
  }
}

export default function ({ parentElement, data }) {
  if (!frames.has(parentElement)) frames.set(parentElement, new Frame(parentElement));
  frames.get(parentElement).use(data);
  return () => {
    frames.get(parentElement)?.close();
    frames.delete(parentElement);
  };
}
