"use strict";
// All data is text of unknown origin: it reaches the page through textContent and attributes only, never as markup.
(() => {
  const ROW = 54;
  const byId = (id) => document.getElementById(id);
  const blocks = new Map();
  const block = (name) => {
    if (!blocks.has(name)) {
      const element = byId(name);
      blocks.set(name, element ? JSON.parse(element.textContent) : []);
    }
    return blocks.get(name);
  };
  const page = block("page");
  const rows = block("index");
  const detailOf = (place) => block(`details-${Math.floor(place / page.chunk)}`)[place % page.chunk];
  const placeOf = new Map(rows.map((row, place) => [row.name, place]));

  const make = (name, className, ...children) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    for (const child of children.flat()) {
      if (child === null || child === undefined || child === "") continue;
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return element;
  };

  // A text is a string, or [head, tail, characters left out, length] where its middle was left out.
  const plain = (text) => (typeof text === "string" ? text : text ? `${text[0]} ${text[1]}` : "");
  const shown = (name, className, text) => {
    const element = make(name, className);
    element.dir = "auto";
    if (typeof text === "string") {
      element.textContent = text;
    } else if (text) {
      const number = (value) => value.toLocaleString("en");
      element.append(text[0], make("span", "cut", ` ${number(text[2])} of ${number(text[3])} characters left out `), text[1]);
    }
    return element;
  };

  const picture = (image, alt, className) => {
    if (typeof image !== "number") return image ? make("span", "no-image", image) : null;
    const element = make("img", className);
    element.alt = alt;
    element.src = `data:image/webp;base64,${block(`images-${Math.floor(image / page.images)}`)[image % page.images]}`;
    return element;
  };

  const percent = (value) => `${(100 * value).toFixed(0)}%`;
  const verdict = (correct) => (correct === true ? "right" : correct === false ? "wrong" : "not judged");
  const verdictClass = (correct) => (correct === true ? "right" : correct === false ? "wrong" : "null");

  const interval = (row) => {
    const scale = make("span", "interval");
    if (row.n === undefined) return scale;
    const bar = make("span", "range");
    bar.style.left = `${100 * row.low}%`;
    bar.style.width = `${100 * Math.max(row.high - row.low, 0.01)}%`;
    const dot = make("span", "dot");
    dot.style.left = `${row.n ? (100 * row.c) / row.n : 0}%`;
    scale.append(bar, dot);
    scale.title = `${row.c} of ${row.n} right; 95% interval ${percent(row.low)} to ${percent(row.high)}`;
    return scale;
  };

  // ---- filters ----------------------------------------------------------------------------------------------------
  const search = byId("search");
  const selects = ["state", "benchmark", "family", "tag"].map((name) => [name, byId(`by-${name}`)]);
  const sort = byId("sort");
  const valuesOf = { state: (row) => row.states, benchmark: (row) => [row.benchmark], family: (row) => [row.family], tag: (row) => row.tags };

  for (const [name, select] of selects) {
    const counts = new Map();
    for (const row of rows) for (const value of valuesOf[name](row)) if (value) counts.set(value, (counts.get(value) || 0) + 1);
    const values = [...counts.keys()];
    if (name === "state") values.sort((a, b) => page.states.indexOf(a) - page.states.indexOf(b));
    else values.sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
    for (const value of values.slice(0, 500)) {
      const option = make("option", "", `${value} (${counts.get(value)})`);
      option.value = value;
      select.append(option);
    }
    select.parentElement.hidden = values.length === 0;
  }

  let haystacks = null;
  const textOf = (value) => {
    if (typeof value === "string") return value;
    if (value && typeof value === "object") return Object.values(value).map(textOf).join("\n");
    return "";
  };
  const haystack = (place) => {
    haystacks ??= rows.map((_, each) => textOf(detailOf(each)).toLowerCase());
    return haystacks[place];
  };
  const rate = (row) => (row.n ? row.c / row.n : row.marks && row.marks.length ? row.marks.at(-1)[0] / row.marks.at(-1)[1] : 2);
  const orders = {
    worst: (a, b) => a - b,
    rate: (a, b) => rate(rows[a]) - rate(rows[b]) || a - b,
    best: (a, b) => rate(rows[b]) - rate(rows[a]) || a - b,
    id: (a, b) => rows[a].name.localeCompare(rows[b].name, "en", { numeric: true }),
    length: (a, b) => rows[b].tokens - rows[a].tokens || a - b,
  };

  let order = [];
  let current = -1;
  const list = byId("list");
  const spacer = make("div", "spacer");
  list.append(spacer);

  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter(([, select]) => select.value).map(([name, select]) => [name, select.value]);
    order = rows
      .map((_, place) => place)
      .filter((place) => wanted.every(([name, value]) => valuesOf[name](rows[place]).includes(value)))
      .filter((place) => words.every((word) => rows[place].name.toLowerCase().includes(word) || haystack(place).includes(word)))
      .sort(orders[sort.value] || orders.worst);
    byId("count").textContent = `${order.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    spacer.style.height = `${order.length * ROW}px`;
    list.scrollTop = 0;
    render();
  };

  // ---- the list: only the rows in sight exist ---------------------------------------------------------------------
  const entry = (place, at) => {
    const row = rows[place];
    const element = make("div", `row ${row.states[0] ? row.states[0].replace(/ /g, "-") : ""}`);
    element.style.top = `${at * ROW}px`;
    element.id = `row-${place}`;
    element.setAttribute("role", "option");
    element.setAttribute("aria-selected", String(place === current));
    element.setAttribute("aria-posinset", String(at + 1));
    element.setAttribute("aria-setsize", String(order.length));
    const thumb = make("span", "thumb", picture(row.image, "", ""));
    const marks = (row.marks || []).map(([c, n]) => make("span", `mark ${2 * c > n ? "right" : "wrong"}`));
    const top = make("span", "top", make("span", "id", row.name), make("span", "state", row.states.join(", ")));
    const bottom = make("span", "bottom", shown("span", "question", row.question), row.n === undefined ? make("span", "marks", marks) : interval(row));
    element.append(thumb, make("span", "words", top, bottom));
    element.addEventListener("click", () => select(place, false));
    return element;
  };
  const render = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const last = Math.min(order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
    spacer.replaceChildren(...order.slice(first, last).map((place, offset) => entry(place, first + offset)));
    list.setAttribute("aria-activedescendant", current >= 0 ? `row-${current}` : "");
  };
  let waiting = false;
  list.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  });

  // ---- one problem ------------------------------------------------------------------------------------------------
  const heading = (text, where) => make("h4", "", text, where ? make("span", "where", where) : null);
  const fact = (name, value) => (value === "" || value === null || value === undefined ? null : make("span", "fact", make("span", "key", name), " ", value));

  const stepList = (completion) => {
    const items = completion.steps.map((step, number) => {
      const value = completion.values && completion.values[number];
      const score = completion.scores && completion.scores[number];
      const wrong = completion.first && completion.first.step === number;
      const told = make("span", "told", value ? `${value[0]}/${value[1]}` : "", score === undefined ? null : ` PRM ${score}`);
      return make("li", wrong ? "first-wrong" : "", told, shown("span", "", step), wrong ? make("span", "flag", "first wrong step") : null);
    });
    return make("ol", "step-values", items);
  };
  const completionOf = (one) => {
    const words = one.error ? `error: ${one.error}` : verdict(one.correct);
    const head = make("p", "grade", make("b", verdictClass(one.correct), words), one.times > 1 ? make("span", "times", `× ${one.times}`) : null,
      fact("read", one.extracted), fact("because", one.reason), fact("tokens", one.tokens), one.finish === "length" ? make("span", "fact cut-off", "cut at the limit") : null);
    const body = one.steps ? stepList(one) : shown("pre", "", one.text);
    const first = one.first && (one.first.step === null || !one.steps)
      ? make("p", "note", one.first.step === null ? "No single step makes the difference." : `First wrong step: ${one.first.step + 1}. `, shown("span", "", one.first.text))
      : null;
    return make("div", `completion ${verdictClass(one.correct)}`, head, body, first);
  };
  const drawsOf = (draws) => {
    const facts = make("p", "facts", fact("policy", draws.policy), fact("temperature", draws.temperature), fact("right", `${draws.c} of ${draws.n}`),
      fact("pass rate", `${percent(draws.low)} to ${percent(draws.high)}`), fact("zone", `${draws.zone} (${percent(draws.confidence)} sure)`), fact("before", draws.before),
      fact("not judged", draws.nulls || ""), fact("fault", draws.fault), fact("suspect label", draws.suspect), fact("certificate", draws.certificate),
      draws.revealed ? make("span", "fact", "drawn with the answer shown") : null, fact("also in", draws.also.join(", ")));
    const more = draws.more ? make("p", "note", `${draws.more} more completions are not shown.`) : null;
    return make("section", "", heading("Completions", draws.where), facts, interval(draws), make("div", "completions", draws.completions.map(completionOf)), more);
  };
  const anchorOf = (anchor, alt) => {
    const signals = Object.entries(anchor.signals).map(([name, [value, rank]]) => make("tr", "", make("th", "", name), make("td", "n", value), make("td", "n", rank ? `no. ${rank}` : "")));
    return make("article", "anchor",
      make("p", "anchor-head", make("b", "", `${anchor.rank}`), make("span", "id", anchor.id), make("span", "score", anchor.score), anchor.tier ? make("span", "tier", `same ${anchor.tier}`) : null),
      make("div", "pictures", anchor.images.map((image) => picture(image, alt, "small"))),
      shown("p", "question", anchor.question), make("p", "", make("span", "key", "answer "), shown("span", "", anchor.answer)),
      anchor.solution ? make("details", "", make("summary", "", "solution"), shown("pre", "", anchor.solution)) : null,
      make("table", "why", make("tbody", "", signals)), plain(anchor.note) ? shown("p", "note", anchor.note) : null);
  };
  const exampleOf = (one) => {
    const ladder = one.ladder.map((text, level) => {
      const source = one.sources[level];
      const repeats = level > 0 && plain(text) === plain(one.ladder[level - 1]);
      const body = plain(text) === "" ? make("span", "note", level ? "nothing" : "the bare prompt") : repeats ? make("span", "note", "as the level below") : shown("span", "", text);
      return make("li", level === one.level ? "used" : "", make("b", "", `L${level}`), body, source ? make("span", "where", source) : null);
    });
    return make("div", "example", make("p", "facts", fact("of", one.of), fact("origin", one.origin), fact("level", `L${one.level}`), fact("carrier", one.carrier), fact("template", one.template),
      one.leak ? make("b", "wrong", "gives the answer away") : null, make("span", "where", one.where)),
      make("ol", "ladder", ladder), make("p", "key", "target"), shown("pre", "target", one.target),
      one.notes.length ? make("p", "note", one.notes.join("; ")) : null);
  };
  const scoresOf = (scores) => {
    const items = scores.map((one) => make("tr", "", make("th", "", one.label), make("td", verdictClass(2 * one.c > one.n ? true : one.correct === null ? null : false), one.n > 1 ? `${one.c} of ${one.n}` : verdict(one.correct)),
      make("td", "", one.extracted === undefined ? "" : one.extracted), make("td", "", one.reason), make("td", "", shown("pre", "", one.text)), make("td", "where", one.where)));
    const head = make("tr", "", ["policy", "grade", "read", "because", "completion", "row"].map((name) => make("th", "", name)));
    return make("section", "", heading("Before and after"), make("div", "scroll", make("table", "scores", make("thead", "", head), make("tbody", "", items))));
  };

  const open = (place) => {
    const one = detailOf(place);
    const target = byId("detail");
    const alt = `Image of problem ${one.id}`;
    const parts = [
      make("header", "", make("h3", "id", one.id), make("p", "facts", one.states.map((state) => make("span", `state ${state.replace(/ /g, "-")}`, state)), fact("benchmark", one.benchmark), fact("family", one.family), one.tags && one.tags.length ? fact("tags", one.tags.join(", ")) : null)),
      make("div", "problem", make("div", "pictures", (one.images || []).map((image) => picture(image, alt, "large"))),
        make("div", "", shown("p", "question", one.question),
          one.choices && one.choices.length ? make("ol", "choices", one.choices.map((choice) => shown("li", "", choice))) : null,
          make("p", "answer", make("span", "key", "answer "), shown("b", "", one.answer), one.unit ? ` ${one.unit}` : "", make("span", "where", one.type)),
          plain(one.solution) ? make("details", "", make("summary", "", "solution of the data"), shown("pre", "", one.solution)) : null)),
      one.scores.length ? scoresOf(one.scores) : null,
      ...one.draws.map(drawsOf),
      ...one.anchors.map((set) => make("section", "", heading("Anchors", set.where), make("div", "anchors", set.items.map((anchor) => anchorOf(anchor, `Image of anchor ${anchor.id}`))))),
      one.examples.length ? make("section", "", heading("Training examples, scaffold at each level"), one.examples.map(exampleOf)) : null,
    ];
    target.replaceChildren(...parts.filter(Boolean));
    target.scrollTop = 0;
  };

  const select = (place, scroll) => {
    current = place;
    open(place);
    const hash = `#p=${encodeURIComponent(rows[place].name)}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    const at = order.indexOf(place);
    if (scroll && at >= 0) {
      const top = at * ROW;
      if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = Math.max(0, top - list.clientHeight / 2);
    }
    render();
  };
  const move = (by) => {
    if (!order.length) return;
    const at = order.indexOf(current);
    select(order[Math.min(order.length - 1, Math.max(0, at < 0 ? 0 : at + by))], true);
    byId("problems").scrollIntoView({ block: "nearest" });
  };
  const follow = () => {
    if (!location.hash.startsWith("#p=")) return;
    let name = location.hash.slice(3);
    try { name = decodeURIComponent(name); } catch { /* a hash that was typed by hand is taken as it is */ }
    const place = placeOf.get(name);
    if (place === undefined) {
      byId("detail").replaceChildren(make("p", "note", `No problem ${name} in this report.`));
      return;
    }
    if (!order.includes(place)) reset();
    select(place, true);
    byId("problems").scrollIntoView();
  };
  const reset = () => {
    search.value = "";
    for (const [, control] of selects) control.value = "";
    apply();
  };

  // ---- theme, help, keyboard --------------------------------------------------------------------------------------
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const remember = (theme) => { try { localStorage.setItem("anectl-theme", theme); } catch { /* a file opened without storage */ } };
  try {
    const kept = localStorage.getItem("anectl-theme");
    if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  } catch { /* as above */ }
  const button = byId("theme");
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  const toggle = () => { root.dataset.theme = dark() ? "light" : "dark"; remember(root.dataset.theme); label(); };
  button.addEventListener("click", toggle);
  label();
  const help = byId("help");
  byId("help-open").addEventListener("click", () => help.showModal());
  byId("help-close").addEventListener("click", () => help.close());

  let soon = 0;
  search.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(apply, 120); });
  for (const [, control] of selects) control.addEventListener("change", apply);
  sort.addEventListener("change", apply);
  byId("reset").addEventListener("click", reset);
  byId("filters").addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target instanceof Element && event.target.matches("input, select, textarea");
    if (event.key === "Escape") {
      if (help.open) return;
      if (typing && event.target === search && search.value) { search.value = ""; apply(); } else if (typing) event.target.blur();
      return;
    }
    if (typing || help.open) return;
    const onList = document.activeElement === list;
    if (event.key === "j" || (onList && event.key === "ArrowDown")) move(1);
    else if (event.key === "k" || (onList && event.key === "ArrowUp")) move(-1);
    else if (event.key === "/") { search.focus(); search.select(); byId("problems").scrollIntoView(); }
    else if (event.key === "?") help.showModal();
    else if (event.key === "t") toggle();
    else return;
    event.preventDefault();
  });
  addEventListener("hashchange", follow);
  addEventListener("resize", render);

  if (!rows.length) byId("problems").hidden = true;
  apply();
  if (location.hash.startsWith("#p=")) follow();
  else if (rows.length) { current = order[0]; open(current); render(); }
  root.dataset.ready = "yes";
})();
