// Who speaks: names to type over, shares, samples to play, and where words go that somebody else said.
const MERGE = "merge";

const column = (text, scope) => {
  const made = element("th", "", text);
  made.scope = scope;
  return made;
};

class People {
  constructor(player, root) {
    this.player = player;
    this.unfolded = false;
    this.typed = new Map(); // names that are on their way, by label
    this.list = root.querySelector(".people");
    this.menu = root.querySelector(".move");
    this.menu.onclick = (event) => event.target === this.menu && this.menu.close();
  }

  show({ people, labels, change }, send) {
    this.send = send;
    this.labels = labels;
    this.people = people;
    this.change = change;
    if (!this.player.busy) this.typed.clear();
    const version = JSON.stringify([people, labels, change]);
    if (this.version === version) return;
    this.version = version;
    const active = this.list.getRootNode().activeElement;
    const focused = this.list.contains(active) ? active.dataset.key : null;
    const typing = active?.matches?.("input.name") ? [active.value, active.selectionStart, active.selectionEnd] : null;
    this.drawing = true; // a field that is being typed in is left then, which means nothing
    this.list.replaceChildren(...people.map((one) => this.row(one)));
    this.drawing = false;
    if (people.length) this.list.append(this.statistics(people));
    // What had the focus may be gone, as a speaker who was merged: keys go on at the first one.
    if (!focused) return;
    const same = this.list.querySelector(`[data-key="${focused}"]`);
    (same ?? this.list.querySelector("[data-key]"))?.focus();
    if (same && typing) {
      same.value = typing[0];
      same.setSelectionRange(typing[1], typing[2]);
    }
  }

  names() {
    return [...this.list.querySelectorAll("input.name")];
  }

  // The field of the first speaker without a name, else of the first one.
  start() {
    const names = this.names();
    const field = names.find((one) => !one.value) ?? names[0];
    field?.scrollIntoView({ block: "center" });
    field?.select();
    field?.focus();
  }

  rename(label, name) {
    this.typed.set(label, name);
    this.send({ what: "rename", label, name });
  }

  button(className, text, act, key) {
    const made = element("button", className, text);
    made.type = "button";
    made.onclick = act;
    if (key) made.dataset.key = key;
    return made;
  }

  row(one) {
    const row = element("div", `person colour-${one.colour}`);
    row.append(element("span", "dot"), this.name(one));
    const bar = element("span", "share");
    bar.style.setProperty("--share", `${one.percent}%`);
    row.append(bar, element("span", "talk", one.talk), this.samples(one));
    if (this.change && one.movable && this.people.length > 1) row.append(this.merging(one));
    if (this.change && one.maybe) row.append(this.proposal(one));
    return row;
  }

  name(one) {
    if (!this.change) return element("b", "name", one.shown);
    const input = element("input", "name");
    input.value = this.typed.get(one.label) ?? one.name;
    input.placeholder = one.shown;
    input.maxLength = 100;
    input.dataset.key = `name-${one.label}`;
    input.setAttribute("aria-label", `${this.labels.name}: ${one.shown}`);
    input.onblur = () => {
      const name = input.value.trim();
      if (!this.drawing && name !== (this.typed.get(one.label) ?? one.name)) this.rename(one.label, name);
    };
    input.onkeydown = (event) => {
      if (event.key === "Enter") {
        const names = this.names();
        const next = names[names.indexOf(input) + 1];
        if (next) next.select(), next.focus();
        else input.blur();
      }
      if (event.key === "Escape") {
        input.value = one.name;
        input.blur();
      }
    };
    return input;
  }

  statistics(people) {
    const folded = element("details", "statistics");
    folded.open = this.unfolded;
    folded.ontoggle = () => (this.unfolded = folded.open);
    folded.append(element("summary", "", this.labels.statistics), this.chart(people));
    return folded;
  }

  // A bar a speaker in each column, with its figure.
  chart(people) {
    const [chart, head, body] = ["table", "thead", "tbody"].map((tag) => element(tag, ""));
    const titles = element("tr");
    titles.append(element("td"), ...this.labels.measures.map((title) => column(title, "col")));
    head.append(titles);
    for (const one of people) {
      const row = element("tr", `colour-${one.colour}`);
      const name = column("", "row");
      name.append(element("b", "speaker", one.shown), element("span", "about", one.about));
      row.append(name);
      one.measures.forEach(([percent, text], n) => {
        const cell = element("td");
        const bar = element("span", "share");
        bar.style.setProperty("--share", `${percent}%`);
        cell.append(element("span", "title", this.labels.measures[n]), bar, element("span", "figure", text));
        row.append(cell);
      });
      body.append(row);
    }
    chart.className = "chart";
    chart.append(head, body);
    return chart;
  }

  samples(one) {
    const some = element("span", "samples");
    one.samples.forEach(([from, until], n) => {
      const play = this.button("sample", "", () => this.player.sample(from, until), `sample-${one.label}-${n}`);
      play.setAttribute("aria-label", `${this.labels.sample} ${n + 1}: ${one.shown}`);
      play.title = `${this.labels.sample} ${n + 1}`;
      some.append(play);
    });
    return some;
  }

  merging(one) {
    const select = element("select", MERGE);
    select.dataset.key = `${MERGE}-${one.label}`;
    select.setAttribute("aria-label", `${this.labels.merge}: ${one.shown}`);
    select.append(new Option(this.labels.merge, ""));
    for (const other of this.people)
      if (other !== one && other.movable) select.append(new Option(other.shown, other.label));
    select.onchange = () => select.value && this.send({ what: "merge", label: one.label, target: select.value });
    return select;
  }

  proposal(one) {
    const asked = element("span", "maybe", one.maybe);
    const yes = () => this.send({ what: "accept", label: one.label });
    const no = () => this.send({ what: "reject", label: one.label });
    asked.append(this.button("yes", this.labels.yes, yes, `yes-${one.label}`));
    asked.append(this.button("no", this.labels.no, no, `no-${one.label}`));
    return asked;
  }

  // What a paragraph, the words marked in it, or all that follows of its speaker, becomes.
  move(label, start, end, marked) {
    const [first, last] = marked ?? [start, end];
    const scopes = [
      [marked ? this.labels.words : this.labels.here, { start: first, end: last }],
      [this.labels.onwards, { start: first, end: null }],
    ];
    const title = element("b", "", this.people.find((one) => one.label === label)?.shown ?? "");
    const choice = element("select", "scope");
    choice.setAttribute("aria-label", this.labels.what);
    scopes.forEach(([text], n) => choice.append(new Option(text, n)));
    const targets = this.people.filter((one) => one.label !== label && one.movable);
    const to = [...targets.map((one) => [one.shown, one.label, one.colour]), [this.labels.new, "new", ""]];
    const buttons = to.map(([text, target, colour]) => {
      const made = this.button(`target colour-${colour}`, "", () => {
        this.menu.close();
        this.send({ what: "move", label, target, ...scopes[Number(choice.value)][1] });
      });
      made.append(element("span", "dot"), text);
      return made;
    });
    const close = this.button("close", this.labels.close, () => this.menu.close());
    this.menu.replaceChildren(title, choice, element("span", "to", this.labels.to), ...buttons, close);
    this.menu.showModal();
    choice.focus();
  }
}
